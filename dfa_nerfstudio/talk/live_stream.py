"""Renders a talking video while its audio is still arriving, with minimal latency."""

from __future__ import annotations

import contextlib
import sys
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from queue import Queue
from threading import Thread
from typing import BinaryIO

import av
import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.media.video_writer import stream_writer
from dfa_nerfstudio.talk.audio_driver import AudioDriver
from dfa_nerfstudio.talk.talk_config import LiveConfig
from dfa_nerfstudio.talk.video_renderer import TalkingVideoRenderer

MAX_LATENCY_S = 0.36
"""Latency in seconds above which a frame is dropped and the previous one repeated, so that a machine that is slightly
too slow, or was busy for a moment, does not fall further and further behind."""


@dataclass
class Latency:
    """Measures the time from the arrival of audio to the output of its frame, and decides which frames to drop."""

    fps: float = FRAME_RATE
    """Frames per second."""
    arrivals: list[tuple[int, float]] = field(default_factory=list)
    """Total number of audio samples after each arrived chunk, and the time of its arrival in seconds."""
    seconds: list[float] = field(default_factory=list)
    """Latency of each frame: seconds from the arrival of its first audio sample until it was encoded."""
    rendering: list[float] = field(default_factory=list)
    """Seconds of that latency between the start of rendering and the encoded frame, for each rendered frame."""
    num_repeated: int = 0
    """Number of frames that were dropped, so that the previous one was repeated."""
    _render_starts: list[float | None] = field(default_factory=list)
    """Time at which the rendering of each frame started; None for dropped frames."""
    _due: float = -np.inf
    """Presentation time of the latest frame: the arrival of its audio, but at least one frame duration after the
    previous frame, because audio may arrive faster than it is played."""

    def on_audio(self, chunks: Iterable[Float32[np.ndarray, " n"]]) -> Iterator[Float32[np.ndarray, " n"]]:
        """Yields the chunks unchanged and records their arrival."""
        num_samples = 0
        for chunk in chunks:
            num_samples += len(chunk)
            self.arrivals.append((num_samples, time.monotonic()))
            yield chunk

    def should_drop(self, number: int) -> bool:
        """Returns whether a frame is too late to be rendered; the first frame never is.

        Call it for each frame in order, right before the frame would be rendered.
        """
        now = time.monotonic()
        self._due = max(self._arrival(number), self._due + 1 / self.fps)
        dropped = number > 0 and now - self._due > MAX_LATENCY_S
        self._render_starts.append(None if dropped else now)
        self.num_repeated += dropped
        return dropped

    def on_frame(self) -> None:
        """Records that the next frame was encoded."""
        number, now = len(self.seconds), time.monotonic()
        self.seconds.append(now - self._arrival(number))
        if (start := self._render_starts[number]) is not None:
            self.rendering.append(now - start)

    def _arrival(self, number: int) -> float:
        """Returns the time at which the first audio sample of a frame arrived."""
        index = bisect_right(self.arrivals, int(number / self.fps * SAMPLE_RATE), key=lambda arrival: arrival[0])
        return self.arrivals[min(index, len(self.arrivals) - 1)][1]

    def __str__(self) -> str:
        if not self.seconds:
            return "no frame"
        median, worst, rendering = np.median(self.seconds), max(self.seconds), np.median(self.rendering)
        repeated = f"; {self.num_repeated} of them repeat the previous frame" if self.num_repeated else ""
        latency = f"{median:.2f} s after their audio (median; at most {worst:.2f} s)"
        return f"{len(self.seconds)} frames, {latency}, {rendering:.2f} s of it rendering{repeated}"


def render_live(renderer: TalkingVideoRenderer, config: LiveConfig, source: BinaryIO, target: BinaryIO) -> Latency:
    """Renders until the audio ends or the reader of the video closes its end.

    Args:
        renderer: decides the person and the video's content.
        config: source of the audio and format of the stream.
        source: PCM, 16 bit, mono; not read if `config.listen` is given.
        target: receives the video.
    """
    latency = Latency(renderer.video.fps)
    driver = AudioDriver(renderer.model, renderer.motion, renderer.conditioning, live=True)
    with contextlib.ExitStack() as stack:
        pcm = stack.enter_context(_websocket_source(config.listen)) if config.listen is not None else _read(source)
        chunks = _read_in_thread(latency.on_audio(_decode_pcm(pcm, config.pcm_rate)))
        unwritten = deque[Float32[np.ndarray, " n"]]()

        def record_chunks() -> Iterator[Float32[np.ndarray, " n"]]:
            for chunk in chunks:
                unwritten.append(chunk)
                yield chunk

        metadata, fps = renderer.provenance.metadata(config.container), renderer.video.fps
        writer = stream_writer(target, config.container, fps, renderer.size, SAMPLE_RATE, metadata)
        with contextlib.suppress(BrokenPipeError), writer as video:
            for frame in renderer.render_tracks(driver.stream(record_chunks()), latency.should_drop):
                while unwritten:
                    video.write_audio(unwritten.popleft())
                video.write_frame(frame)
                latency.on_frame()
            while unwritten:
                video.write_audio(unwritten.popleft())
    return latency


def _read_in_thread(chunks: Iterator[Float32[np.ndarray, " n"]]) -> Iterator[Float32[np.ndarray, " n"]]:
    """Yields the chunks unchanged, read by a thread, so that arrival times are right while a frame is rendered."""
    queue: Queue[Float32[np.ndarray, " n"] | Exception | None] = Queue()

    def read() -> None:
        try:
            for chunk in chunks:
                queue.put(chunk)
            queue.put(None)
        except Exception as error:  # raised again in the thread that takes the chunks
            queue.put(error)

    Thread(target=read, daemon=True).start()
    while (chunk := queue.get()) is not None:
        if isinstance(chunk, Exception):
            raise chunk
        yield chunk


def _read(source: BinaryIO) -> Iterator[bytes]:
    """Yields a file's bytes as soon as they arrive."""
    read = getattr(source, "read1", source.read)
    while chunk := read(1 << 14):
        yield chunk


@contextlib.contextmanager
def _websocket_source(port: int) -> Iterator[Iterator[bytes]]:
    """Serves a WebSocket on 127.0.0.1 and provides the binary messages of its first client.

    They end at a text message or when the client disconnects.

    Raises:
        UserError: if the port is not free.
    """
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.server import ServerConnection, serve

    messages: Queue[bytes] = Queue()

    def receive(client: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            for message in client:
                if isinstance(message, str):
                    break
                messages.put(message)
        messages.put(b"")

    try:
        server = serve(receive, "127.0.0.1", port)
    except OSError as error:
        raise UserError(f"`listen={port}`: cannot listen on this port ({error.strerror}); give another one") from None
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    print(f"listening on ws://127.0.0.1:{port}", file=sys.stderr, flush=True)
    try:
        yield iter(messages.get, b"")
    finally:
        server.shutdown()
        thread.join()


def _decode_pcm(chunks: Iterable[bytes], rate: int) -> Iterator[Float32[np.ndarray, " n"]]:
    """Yields 16 kHz mono samples, full scale 1, from 16 bit PCM in chunks of any number of bytes.

    Args:
        chunks: little-endian mono PCM.
        rate: sample rate of the PCM in Hz.
    """
    resampler, rest = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE), b""
    for chunk in chunks:
        data = rest + chunk
        samples = np.frombuffer(data, "<i2", len(data) // 2)
        rest = data[2 * len(samples) :]
        if not len(samples):
            continue
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = rate
        for resampled in resampler.resample(frame):
            yield resampled.to_ndarray().reshape(-1)
    for resampled in resampler.resample(None):
        yield resampled.to_ndarray().reshape(-1)
