"""Plays frames in a thread of its own: by the clock, or as fast as they are made."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PATIENCE = 1.0
"""Seconds after which a frame counts as shown though nobody has made it: no browser is there."""


class Player:
    """Counts frames while it plays.

    Args:
        length: how many frames there are.
        show: is given the frame to be shown.
        shown: is set when a picture has been made.
        begin: is given the frame from which on frames are shown by the clock, whenever that begins: sound goes with it.
    """

    def __init__(
        self,
        length: Callable[[], int],
        show: Callable[[int], None],
        shown: threading.Event,
        begin: Callable[[int], None],
    ) -> None:
        self._length, self._show, self._shown, self._begin = length, show, shown, begin
        self.fps: float | None = 25.0
        """Frames a second, of which some are left out where the machine is too slow; None shows every frame as soon as
        the one before has been made."""
        self.loop = True
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def playing(self) -> bool:
        """Whether frames are being counted."""
        return self._thread is not None and self._thread.is_alive() and not self._stop.is_set()

    def play(self, first: int = 0) -> None:
        """Starts at a frame."""
        self.pause()
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, args=(first,), daemon=True)
        self._thread.start()

    def pause(self) -> None:
        """Stops, and returns when no further frame will be shown."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(2 * PATIENCE)

    def _run(self, frame: int) -> None:
        clock: tuple[float, int, float] | None = None  # since when, from which frame on, and how fast
        while not self._stop.is_set():
            if self.fps is None:
                clock = None
            elif clock is None or clock[2] != self.fps:
                clock = time.monotonic(), frame, self.fps
                self._begin(frame)
            self._shown.clear()
            self._show(frame)
            self._shown.wait(PATIENCE)
            frame += 1
            if clock is not None:
                started, first, fps = clock
                self._stop.wait(max(started + (frame - first) / fps - time.monotonic(), 0))
                frame = max(frame, first + int((time.monotonic() - started) * fps))  # a slow machine leaves some out
            if frame >= self._length():
                if not self.loop:
                    self._show(self._length() - 1)
                    return
                frame, clock = 0, None
