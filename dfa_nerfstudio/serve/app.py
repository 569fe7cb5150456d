"""The server's addresses.

::

    GET /                           a page that speaks and listens
    WS /live?rate=16000&video=mp4   opens a session, which lives as long as the WebSocket
    GET /sessions/NAME/video.ts     the video of a session from now on, for players; video.mp4 too
    POST /sessions/NAME/offer       the same by WebRTC: takes {"sdp": ..., "type": "offer"}, answers likewise
    GET /health                     state as JSON
    GET /metrics                    counters and latency quantiles for Prometheus
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from importlib import resources
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import HTMLResponse, PlainTextResponse, StreamingResponse
from starlette.datastructures import QueryParams
from starlette.types import ASGIApp

from dfa_nerfstudio.errors import UserError, as_flags
from dfa_nerfstudio.media.rates import SAMPLE_RATE
from dfa_nerfstudio.serve.access import AccessGuard
from dfa_nerfstudio.serve.encoded_output import MEDIA_TYPES, EncodedOutput
from dfa_nerfstudio.serve.metrics import Metrics
from dfa_nerfstudio.serve.outbox import Outbox
from dfa_nerfstudio.serve.render_pool import RenderPool
from dfa_nerfstudio.serve.serve_config import ServeConfig
from dfa_nerfstudio.serve.sessions import NoCapacityError, OpenSession, Sessions
from dfa_nerfstudio.serve.webrtc_output import WebRtcOutput

CONTAINERS = {"ts": "mpegts", "mp4": "mp4"}
"""Container of each suffix of a video's address."""
MAX_OUTPUTS = 4
"""Largest number of videos of one session; each of them is encoded anew."""
MAX_OFFER_BYTES = 64 << 10
"""Largest WebRTC offer in bytes."""
MAX_MESSAGE_BYTES = 4 << 20
"""Largest message of a client in bytes: two minutes of PCM at 16 kHz."""
SHUTDOWN_S = 3
"""Seconds that connections have to end when the server is stopped."""
MAX_REASON_BYTES = 120
"""Largest reason of a closed WebSocket; the protocol allows 123 bytes."""
POLICY, INTERNAL_ERROR, TRY_AGAIN_LATER = 1008, 1011, 1013
"""WebSocket close codes: refused, failed, no capacity."""


def create_app(pool: RenderPool, config: ServeConfig, metrics: Metrics) -> ASGIApp:
    """Returns the server's application.

    Args:
        pool: renders the frames of all sessions.
        config: address, token and limits.
        metrics: counts sessions and frames.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    sessions, renderer = Sessions(pool, config, metrics), pool.renderer

    @app.get("/")
    def page() -> HTMLResponse:
        return HTMLResponse(resources.files("dfa_nerfstudio.serve").joinpath("page.html").read_text("utf-8"))

    @app.get("/health")
    def health() -> dict[str, Any]:
        return {
            "status": "ok",
            "sessions": metrics.sessions,
            "max_sessions": metrics.max_clients,
            "frames_per_second": round(metrics.frame_rate, 1),
            "synthetic": renderer.provenance.comment,
        }

    @app.get("/metrics")
    def prometheus() -> PlainTextResponse:
        return PlainTextResponse(metrics.prometheus(), media_type="text/plain; version=0.0.4")

    @app.websocket("/live")
    async def live(socket: WebSocket) -> None:
        """Serves one session.

        The client sends PCM (16 bit, little endian, mono) as binary messages of any size, faster than real time if it
        likes, and the words `end` (of an utterance) and `interrupt` as text. It receives the video as binary messages,
        unless it asked for `video=none`, and events as JSON texts.
        """
        await socket.accept()
        try:
            rate, container = _options(socket.query_params)
            opened = sessions.open(rate)
        except NoCapacityError as error:
            return await socket.close(TRY_AGAIN_LATER, _reason(error))
        except UserError as error:
            return await socket.close(POLICY, _reason(error))
        try:
            opened.send_event(
                {
                    "event": "ready",
                    "session": opened.name,
                    "rate": rate,
                    "fps": renderer.fps,
                    "size": renderer.size,
                    "media_type": MEDIA_TYPES.get(container),
                    "synthetic": renderer.provenance.comment,
                }
            )
            if container in MEDIA_TYPES:
                opened.session.add_output(EncodedOutput(container, renderer, _without_end(opened.outbox)))
            opened.session.start()
            await _serve_socket(socket, opened)
        finally:
            await sessions.close(opened)

    @app.get("/sessions/{name}/video.{suffix}")
    async def video(name: str, suffix: str) -> StreamingResponse:
        opened = _find(sessions, name)
        if suffix not in CONTAINERS:
            raise HTTPException(404, "ask for video.ts or video.mp4")
        outbox = Outbox()

        def send(data: bytes | None) -> None:
            output.stopped |= outbox.overflown
            outbox.put(data)

        output = EncodedOutput(CONTAINERS[suffix], renderer, send)
        opened.session.add_output(output)

        async def stream() -> AsyncIterator[bytes | str]:
            try:
                async for data in outbox:
                    yield data
            finally:
                output.stopped = True

        headers = {"Cache-Control": "no-store"}
        return StreamingResponse(stream(), media_type=MEDIA_TYPES[CONTAINERS[suffix]], headers=headers)

    @app.post("/sessions/{name}/offer")
    async def offer(name: str, request: Request) -> dict[str, str]:
        opened, body = _find(sessions, name), b""
        async for part in request.stream():
            body += part
            if len(body) > MAX_OFFER_BYTES:
                raise HTTPException(413, f"an offer has at most {MAX_OFFER_BYTES} bytes")
        try:
            sdp = json.loads(body)["sdp"]
        except (ValueError, KeyError, TypeError):
            raise HTTPException(400, 'send JSON: {"sdp": ..., "type": "offer"}') from None

        def on_offset(offset: int) -> None:
            opened.send_event({"event": "webrtc", "rtp_offset": offset})

        try:
            output, answer = await WebRtcOutput.connect(str(sdp), renderer.provenance.comment, on_offset)
        except UserError as error:
            raise HTTPException(400, str(error)) from None
        opened.session.add_output(output)
        return {"sdp": answer, "type": "answer"}

    return AccessGuard(app, config.host, config.token)


def create_server(app: ASGIApp) -> uvicorn.Server:
    """Returns a server of the application; `run(sockets=[...])` serves until it is stopped."""
    config = uvicorn.Config(
        app,
        access_log=False,  # it would contain the token
        log_level="warning",
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,  # video cannot be compressed any further
        timeout_graceful_shutdown=SHUTDOWN_S,
    )
    return uvicorn.Server(config)


def _options(query: QueryParams) -> tuple[int, str]:
    """Returns sample rate and container that a client asks for.

    Raises:
        UserError: if they are not valid.
    """
    container = query.get("video", "mp4")
    if container not in (*MEDIA_TYPES, "none"):
        raise UserError(f"video={container[:20]}: give mp4, mpegts or none")
    try:
        return int(query.get("rate", SAMPLE_RATE)), container
    except ValueError:
        raise UserError("rate: give the sample rate of the audio in Hz") from None


def _find(sessions: Sessions, name: str) -> OpenSession:
    """Returns an open session that may have one more output."""
    opened = sessions.find(name)
    if opened is None:
        raise HTTPException(404, "no such session; open one at /live")
    if opened.session.num_outputs >= MAX_OUTPUTS:
        raise HTTPException(503, f"this session has {MAX_OUTPUTS} videos already; close one")
    return opened


def _without_end(outbox: Outbox) -> Callable[[bytes | None], None]:
    """Returns a function that sends video to an outbox, but not its end, because events follow."""
    return lambda data: None if data is None else outbox.put(data)


async def _serve_socket(socket: WebSocket, opened: OpenSession) -> None:
    """Passes messages on in both directions until the client or the session ends."""
    sending = asyncio.create_task(_send(socket, opened.outbox))
    receiving = asyncio.create_task(_receive(socket, opened))
    try:
        await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
        if not receiving.done():  # the session has ended, or the client has not read
            slow = opened.outbox.overflown
            code, reason = (POLICY, "the client reads too slowly") if slow else (INTERNAL_ERROR, "the session failed")
            with contextlib.suppress(RuntimeError):  # closed meanwhile
                await socket.close(code, reason)
    finally:
        for task in (sending, receiving):
            task.cancel()
        await asyncio.gather(sending, receiving, return_exceptions=True)


async def _send(socket: WebSocket, outbox: Outbox) -> None:
    async for message in outbox:
        await (socket.send_text(message) if isinstance(message, str) else socket.send_bytes(message))


async def _receive(socket: WebSocket, opened: OpenSession) -> None:
    session = opened.session
    commands = {"end": session.end_utterance, "interrupt": session.interrupt}
    while (message := await socket.receive())["type"] == "websocket.receive":
        try:
            if (pcm := message.get("bytes")) is not None:
                session.write(pcm)
            elif (command := commands.get(message["text"].strip())) is not None:
                command()
            else:
                raise UserError("send PCM as binary messages, and end or interrupt as text")
        except UserError as error:
            opened.send_event({"event": "error", "reason": str(error)})


def _reason(error: UserError) -> str:
    return as_flags(str(error)).encode()[:MAX_REASON_BYTES].decode(errors="ignore")
