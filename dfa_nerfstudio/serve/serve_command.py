"""`dfa-serve`: a trained person as a live avatar for several clients."""

from __future__ import annotations

import secrets
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import tyro

from dfa_nerfstudio.attributes.motion_config import MotionConfig
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.serve.listener import listen
from dfa_nerfstudio.serve.serve_config import ServeConfig
from dfa_nerfstudio.talk.talk_config import AudioConditioningConfig

RATE_PER_CLIENT = 1.25 * FRAME_RATE
"""Frames per second that the machine must render for each client. Frames that are rendered by the clock take more time
than in the measurement: two clients on a machine that renders 54 frames/s lost a fifth of them."""


def serve(
    server: Annotated[ServeConfig, tyro.conf.arg(name="")],
    motion: Annotated[MotionConfig, tyro.conf.arg(name="")],
    conditioning: Annotated[AudioConditioningConfig, tyro.conf.arg(name="")],
    load_config: Path,
    data: Path | None = None,
) -> None:
    """Serves a trained person as a live avatar: PCM in by WebSocket, video out as mp4, MPEG-TS or WebRTC.

    A browser on this machine opens http://127.0.0.1:8765; docs/serve.md describes the interface for programs.

    Args:
        server: address, limits and video.
        motion: source of head motion and blinks.
        conditioning: post-processing of the audio feature.
        load_config: The run's config.yml; ns-train prints its path at its end.
        data: The run's dataset folder, if it has moved since the training.
    """
    missing = [name for name in ("fastapi", "uvicorn", "aiortc") if find_spec(name) is None]
    if missing:
        raise UserError(f'{missing[0]} is not installed; run pip install "dfa-nerfstudio[serve]"')
    if server.token is None and not server.is_local:
        server.token = secrets.token_urlsafe(24)
    with listen(server.host, server.port) as listener:
        from dfa_nerfstudio.serve.app import create_app, create_server
        from dfa_nerfstudio.serve.metrics import Metrics
        from dfa_nerfstudio.serve.render_pool import RenderPool
        from dfa_nerfstudio.talk.load_model import load_model
        from dfa_nerfstudio.talk.video_renderer import TalkingVideoRenderer

        model = load_model(load_config, data)
        renderer = TalkingVideoRenderer(load_config, model, server.video(FRAME_RATE), motion, conditioning)
        renderer.warm_up()
        pool = RenderPool(renderer)
        frame_rate = pool.measure_frame_rate()
        metrics = Metrics(frame_rate, server.max_clients or max(int(frame_rate / RATE_PER_CLIENT), 1))
        http_server = create_server(create_app(pool, server, metrics))
        print(_ready(server, metrics.frame_rate, metrics.max_clients), file=sys.stderr, flush=True)
        try:
            http_server.run(sockets=[listener])
        finally:
            pool.close()


def _ready(server: ServeConfig, frame_rate: float, max_clients: int) -> str:
    """Returns the lines that are printed when clients can connect."""
    host = f"[{server.host}]" if ":" in server.host else server.host
    query = "" if server.token is None else f"?token={server.token}"
    clients = "1 client" if max_clients == 1 else f"{max_clients} clients"
    lines = [f"ready: http://{host}:{server.port}/{query}; {frame_rate:.0f} frames/s, {clients}"]
    needed = max_clients * RATE_PER_CLIENT
    if frame_rate < needed:
        lines.append(f"note: {clients} need {needed:.0f} frames/s; late frames are dropped. A smaller `size` is faster")
    return "\n".join(lines).replace("`size`", "--size")
