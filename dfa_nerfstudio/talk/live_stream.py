"""Sound comes in, and pictures go out as soon as they can be known."""

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
from dfa_nerfstudio.talk.audio_driver import Driver
from dfa_nerfstudio.talk.talk_config import LiveConfig
from dfa_nerfstudio.talk.video_renderer import Studio

LATE = 0.36
"""Seconds behind its sound from which on a frame is not rendered: the one before is shown for longer. So a machine that
is a little too slow, or was busy for a moment, does not fall further and further behind."""


@dataclass
class Latency:
    """How long a frame comes after the sound that it shows."""

    fps: float = FRAME_RATE
    arrived: list[tuple[int, float]] = field(default_factory=list)
    """Number of samples that had come, and when."""
    seconds: list[float] = field(default_factory=list)
    """Of each frame: from the arrival of the first sample of its time until it has been encoded."""
    rendering: list[float] = field(default_factory=list)
    """Of each frame that was rendered: how much of that it took."""
    repeated: int = 0
    """Frames that were not rendered."""
    _begun: list[float | None] = field(default_factory=list)
    """When each frame began to be rendered, if it was."""
    _due: float = -np.inf
    """When the last frame that was asked about was to be shown: with its sound, but not sooner than a frame after the
    one before, for sound may come faster than it is played."""

    def hear(self, pieces: Iterable[Float32[np.ndarray, " n"]]) -> Iterator[Float32[np.ndarray, " n"]]:
        """The pieces, noted as they come."""
        heard = 0
        for piece in pieces:
            heard += len(piece)
            self.arrived.append((heard, time.monotonic()))
            yield piece

    def late(self, number: int) -> bool:
        """Whether a frame is so late that it is not to be rendered, which the first never is; to be asked about one
        after the other, right before each would be."""
        now = time.monotonic()
        self._due = max(self._arrival(number), self._due + 1 / self.fps)
        is_late = number > 0 and now - self._due > LATE
        self._begun.append(None if is_late else now)
        self.repeated += is_late
        return is_late

    def show(self) -> None:
        """The next frame is out."""
        number, now = len(self.seconds), time.monotonic()
        self.seconds.append(now - self._arrival(number))
        if (begun := self._begun[number]) is not None:
            self.rendering.append(now - begun)

    def _arrival(self, number: int) -> float:
        """When the sound of a frame came."""
        place = bisect_right(self.arrived, int(number / self.fps * SAMPLE_RATE), key=lambda piece: piece[0])
        return self.arrived[min(place, len(self.arrived) - 1)][1]

    def __str__(self) -> str:
        if not self.seconds:
            return "no frame"
        median, worst, rendering = np.median(self.seconds), max(self.seconds), np.median(self.rendering)
        repeated = f"; {self.repeated} of them the one before for lack of time" if self.repeated else ""
        after = f"{median:.2f} s after their sound (median; at most {worst:.2f} s)"
        return f"{len(self.seconds)} frames, {after}, {rendering:.2f} s of it rendering{repeated}"


def talk_live(studio: Studio, config: LiveConfig, source: BinaryIO, target: BinaryIO) -> Latency:
    """Talks until the sound ends, or nobody watches any more.

    Args:
        studio: the person, and what the video looks like.
        config: see there.
        source: PCM, 16 bit, mono; not read from where a WebSocket is listened to.
        target: where the video goes.
    """
    latency = Latency(studio.film.fps)
    driver = Driver(studio.model, studio.moving, studio.hearing, live=True)
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(_listened(config.listen)) if config.listen is not None else _read(source)
        pieces = _as_they_come(latency.hear(_resampled(raw, config.pcm_rate)))
        waiting = deque[Float32[np.ndarray, " n"]]()

        def kept() -> Iterator[Float32[np.ndarray, " n"]]:
            for piece in pieces:
                waiting.append(piece)
                yield piece

        tags, fps = studio.mark.tags(config.container), studio.film.fps
        writer = stream_writer(target, config.container, fps, studio.size, SAMPLE_RATE, tags)
        with contextlib.suppress(BrokenPipeError), writer as video:
            for picture in studio.shown(driver.stream(kept()), latency.late):
                while waiting:
                    video.hear(waiting.popleft())
                video.write(picture)
                latency.show()
            while waiting:
                video.hear(waiting.popleft())
    return latency


def _as_they_come(pieces: Iterator[Float32[np.ndarray, " n"]]) -> Iterator[Float32[np.ndarray, " n"]]:
    """The same pieces, taken by a thread of their own, so that it is known when they came while a frame is rendered."""
    taken: Queue[Float32[np.ndarray, " n"] | Exception | None] = Queue()

    def take() -> None:
        try:
            for piece in pieces:
                taken.put(piece)
            taken.put(None)
        except Exception as error:  # is raised where the pieces are worked on
            taken.put(error)

    Thread(target=take, daemon=True).start()
    while (piece := taken.get()) is not None:
        if isinstance(piece, Exception):
            raise piece
        yield piece


def _read(source: BinaryIO) -> Iterator[bytes]:
    """What is there, as soon as it is."""
    read = getattr(source, "read1", source.read)
    while piece := read(1 << 14):
        yield piece


@contextlib.contextmanager
def _listened(port: int) -> Iterator[Iterator[bytes]]:
    """The binary messages of the first client of a WebSocket on this machine; text ends them, as hanging up does."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.server import ServerConnection, serve

    messages: Queue[bytes] = Queue()

    def take(client: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            for message in client:
                if isinstance(message, str):
                    break
                messages.put(message)
        messages.put(b"")

    try:
        server = serve(take, "127.0.0.1", port)
    except OSError as error:
        raise UserError(f"--listen {port}: cannot listen there ({error.strerror}); give another port") from None
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    print(f"listening on ws://127.0.0.1:{port}", file=sys.stderr, flush=True)
    try:
        yield iter(messages.get, b"")
    finally:
        server.shutdown()
        thread.join()


def _resampled(pieces: Iterable[bytes], rate: int) -> Iterator[Float32[np.ndarray, " n"]]:
    """16 kHz, full scale 1, of 16 bit PCM in pieces of any number of bytes."""
    resampler, rest = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE), b""
    for piece in pieces:
        whole = rest + piece
        samples = np.frombuffer(whole, "<i2", len(whole) // 2)
        rest = whole[2 * len(samples) :]
        if not len(samples):
            continue
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = rate
        for part in resampler.resample(frame):
            yield part.to_ndarray().reshape(-1)
    for part in resampler.resample(None):
        yield part.to_ndarray().reshape(-1)
