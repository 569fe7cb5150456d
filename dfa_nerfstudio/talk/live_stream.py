"""Renders a talking video while its audio is still arriving, with minimal latency."""

from __future__ import annotations

import contextlib
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.media.video_writer import stream_writer
from dfa_nerfstudio.talk.pcm_source import decode_pcm, fill_pauses, read_bytes, read_in_thread, take, websocket_bytes
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
    latency = Latency(renderer.fps)
    driver = renderer.driver(live=True)
    with contextlib.ExitStack() as stack:
        if config.listen is None:
            pcm = read_bytes(source)
        else:
            pcm = stack.enter_context(websocket_bytes(config.listen, 2 * config.pcm_rate))
        arriving = read_in_thread(decode_pcm(pcm, config.pcm_rate))
        audio = fill_pauses(arriving) if config.idle else take(arriving)
        # in a thread of its own, so that the times of arrival are right while a frame is rendered
        chunks = take(read_in_thread(latency.on_audio(audio)))
        unwritten = deque[Float32[np.ndarray, " n"]]()

        def record_chunks() -> Iterator[Float32[np.ndarray, " n"]]:
            for chunk in chunks:
                unwritten.append(chunk)
                yield chunk

        metadata, fps = renderer.provenance.metadata(config.container), renderer.fps
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
