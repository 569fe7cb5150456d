"""Renders the frames of all sessions with one model, and measures how many frames per second the machine renders."""

from __future__ import annotations

import io
import sys
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import UInt8

from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.media.library_threads import SWITCH_INTERVAL_S
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.media.video_writer import stream_writer
from dfa_nerfstudio.talk.live_stream import MAX_LATENCY_S
from dfa_nerfstudio.talk.ordered_parallel_map import MAX_WORKERS
from dfa_nerfstudio.talk.pcm_source import SAMPLES_PER_FRAME
from dfa_nerfstudio.talk.video_renderer import TalkingVideoRenderer

MEASURED_S = 3.0
"""Duration in seconds of the video by which the frame rate is measured."""

Image = UInt8[np.ndarray, "H W 3"]


class RenderPool:
    """Threads that render, first come, first served. On a CPU one for each core; on a GPU one.

    Until it is closed, torch computes in one thread each. With several, the small models that drive a session wait for
    threads that have no core: 8 ms for a frame become 100 ms and more.

    Args:
        renderer: decides the person and the video's content.
    """

    def __init__(self, renderer: TalkingVideoRenderer) -> None:
        self.renderer = renderer
        on_cpu = renderer.model.device.type == "cpu"
        self._settings = torch.get_num_threads(), sys.getswitchinterval()
        self.num_workers = min(torch.get_num_threads(), MAX_WORKERS) if on_cpu else 1
        renderer.model.eval()
        torch.set_num_threads(1)
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._threads = ThreadPoolExecutor(self.num_workers, "render")

    def submit(self, frame: AttributeTrack, due: float | None = None) -> Future[Image | None]:
        """Renders a track of one frame in another thread.

        Args:
            frame: the frame.
            due: time (`time.monotonic`) of its first audio sample. A frame that cannot be started within
                `MAX_LATENCY_S` of it is dropped: the result is None. Without it the frame is always rendered.
        """
        return self._threads.submit(self._render, frame, due)

    def _render(self, frame: AttributeTrack, due: float | None) -> Image | None:
        if due is not None and time.monotonic() - due > MAX_LATENCY_S:
            return None
        image = self.renderer.render_portrait(frame)
        return image if self.renderer.watermark is None else self.renderer.watermark.draw(image)

    def measure_frame_rate(self) -> float:
        """Returns the number of frames per second that are driven, rendered and encoded when nothing waits."""
        renderer, start = self.renderer, time.monotonic()
        noise = np.random.default_rng(0).normal(0, 0.1, round(MEASURED_S * SAMPLE_RATE)).astype(np.float32)
        chunks = np.split(noise, range(SAMPLES_PER_FRAME, len(noise), SAMPLES_PER_FRAME))
        driver = renderer.driver(live=True)
        pending = deque[Future[Image | None]]()
        with stream_writer(io.BytesIO(), "mp4", FRAME_RATE, renderer.size, SAMPLE_RATE, {}) as video:

            def encode() -> None:
                image = pending.popleft().result()
                assert image is not None
                video.write_frame(image)

            for track in driver.stream(chunks):
                for index in range(len(track)):
                    pending.append(self.submit(track[index : index + 1]))
                    if len(pending) > 2 * self.num_workers:
                        encode()
            while pending:
                encode()
        return video.frames_written / (time.monotonic() - start)

    def close(self) -> None:
        """Ends the threads; frames that wait are not rendered."""
        self._threads.shutdown(cancel_futures=True)
        num_threads, switch_interval = self._settings
        torch.set_num_threads(num_threads)
        sys.setswitchinterval(switch_interval)
