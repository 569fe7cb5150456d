"""Plays frame numbers in a thread, in real time or as fast as frames are rendered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from dfa_nerfstudio.media.rates import FRAME_RATE

RENDER_TIMEOUT_S = 1.0
"""Seconds after which a frame counts as rendered, because without a connected browser none is."""


class FramePlayer:
    """Counts frames while it plays.

    Args:
        num_frames: returns the number of frames.
        show_frame: called with the number of the frame to show.
        frame_rendered: set by the renderer when a frame has been rendered.
        on_clock_start: called with the frame number whenever real-time playback starts or restarts there, so that the
            audio can start with it.
    """

    def __init__(
        self,
        num_frames: Callable[[], int],
        show_frame: Callable[[int], None],
        frame_rendered: threading.Event,
        on_clock_start: Callable[[int], None],
    ) -> None:
        self._num_frames, self._show_frame = num_frames, show_frame
        self._frame_rendered, self._on_clock_start = frame_rendered, on_clock_start
        self.fps: float | None = FRAME_RATE
        """Frames per second; frames are skipped if the machine is too slow. None shows every frame, each as soon as the
        previous one has been rendered."""
        self.loop = True
        """Whether playback restarts at the end."""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def playing(self) -> bool:
        """Whether playback is running."""
        return self._thread is not None and self._thread.is_alive() and not self._stop.is_set()

    def play(self, first: int = 0) -> None:
        """Starts playback at a frame."""
        self.pause()
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, args=(first,), daemon=True)
        self._thread.start()

    def pause(self) -> None:
        """Stops playback; returns when no further frame will be shown."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(2 * RENDER_TIMEOUT_S)

    def _run(self, frame: int) -> None:
        clock: tuple[float, int, float] | None = None  # start time, first frame, frames per second
        while not self._stop.is_set():
            if self.fps is None:
                clock = None
            elif clock is None or clock[2] != self.fps:
                clock = time.monotonic(), frame, self.fps
                self._on_clock_start(frame)
            self._frame_rendered.clear()
            self._show_frame(frame)
            self._frame_rendered.wait(RENDER_TIMEOUT_S)
            frame += 1
            if clock is not None:
                start, first, fps = clock
                self._stop.wait(max(start + (frame - first) / fps - time.monotonic(), 0))
                frame = max(frame, first + int((time.monotonic() - start) * fps))  # skips frames on a slow machine
            if frame >= self._num_frames():
                if not self.loop:
                    self._show_frame(self._num_frames() - 1)
                    return
                frame, clock = 0, None
