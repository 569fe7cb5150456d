"""Frames are counted by the clock, or as fast as they are made."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from dfa_nerfstudio.viewer.player import Player


class Screen:
    """Takes so many seconds for a frame."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.frames, self.shown = seconds, [], threading.Event()

    def show(self, frame: int) -> None:
        self.frames.append(frame)
        threading.Timer(self.seconds, self.shown.set).start()


def played(
    seconds: float,
    fps: float | None,
    length: int = 1000,
    loop: bool = True,
    for_: float = 1.0,
    begin: Callable[[int], None] = lambda frame: None,
) -> list[int]:
    screen = Screen(seconds)
    player = Player(lambda: length, screen.show, screen.shown, begin)
    player.fps, player.loop = fps, loop
    player.play(3)
    time.sleep(for_)
    player.pause()
    count = len(screen.frames)
    time.sleep(0.1)
    assert len(screen.frames) == count and not player.playing
    return screen.frames


def test_by_the_clock_a_slow_machine_leaves_frames_out():
    frames = played(0.2, 25.0)
    assert frames[0] == 3 and len(frames) < 9
    assert 12 < frames[-1] - 3 < 30, "it is not on time"


def test_as_fast_as_possible_no_frame_is_left_out():
    frames = played(0.01, None)
    assert frames == list(range(3, 3 + len(frames))) and len(frames) > 20


def test_it_begins_again_or_ends():
    assert played(0.001, None, length=6)[:8] == [3, 4, 5, 0, 1, 2, 3, 4]
    assert played(0.001, None, length=6, loop=False, for_=0.3) == [3, 4, 5, 5]


def test_sound_begins_where_the_clock_does():
    begun: list[int] = []
    played(0.001, 25.0, length=9, for_=0.8, begin=begun.append)
    assert begun[:3] == [3, 0, 0]
    begun.clear()
    played(0.001, None, length=6, for_=0.1, begin=begun.append)
    assert begun == []
