"""The frame player: real-time playback, every frame, looping, and the start of the audio."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from dfa_nerfstudio.viewer import frame_player
from dfa_nerfstudio.viewer.frame_player import FramePlayer


class FakeTime:
    """A clock that waiting advances: for the player's `time`, its stop event and its renderer's event."""

    def __init__(self, end: float, render_seconds: float) -> None:
        self.now = 0.0
        self.stop = SimpleNamespace(is_set=lambda: self.now >= end, wait=self.advance)
        self.frame_rendered = SimpleNamespace(clear=lambda: None, wait=lambda timeout: self.advance(render_seconds))

    def monotonic(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[list[int], list[int]]]:
    """Plays from frame 3 for some seconds of a fake clock; returns the shown frames, and those where audio starts."""

    def play(render_seconds: float, fps: float | None, num_frames: int = 1000, loop: bool = True, seconds: float = 1.0):
        clock, shown, starts = FakeTime(seconds, render_seconds), [], []
        monkeypatch.setattr(frame_player, "time", clock)
        player = FramePlayer(lambda: num_frames, shown.append, clock.frame_rendered, starts.append)
        player.fps, player.loop, player._stop = fps, loop, clock.stop
        player._run(3)
        return shown, starts

    return play


def test_real_time_playback_on_a_slow_machine_skips_frames(play):
    assert play(0.2, 25.0)[0] == [3, 8, 13, 18, 23], "a frame that takes 0.2 s is followed by the fifth after it"


def test_real_time_playback_on_a_fast_machine_shows_each_frame_for_its_time(play):
    assert play(0.001, 25.0)[0] == list(range(3, 28))


def test_playback_as_fast_as_possible_skips_no_frame(play):
    frames, _ = play(0.01, None)
    assert frames == list(range(3, 3 + len(frames))) and len(frames) in (100, 101)


def test_playback_loops_or_ends(play):
    assert play(0.001, None, num_frames=6)[0][:8] == [3, 4, 5, 0, 1, 2, 3, 4]
    assert play(0.001, None, num_frames=6, loop=False)[0] == [3, 4, 5, 5]


def test_audio_starts_where_the_clock_starts(play):
    assert play(0.001, 25.0, num_frames=9, seconds=0.8)[1] == [3, 0, 0]
    assert play(0.001, None, num_frames=6, seconds=0.1)[1] == []


def test_pause_stops_the_thread():
    rendered, shown, several = threading.Event(), [], threading.Event()

    def show_frame(frame: int) -> None:
        shown.append(frame)
        rendered.set()
        if len(shown) > 5:
            several.set()

    player = FramePlayer(lambda: 10**9, show_frame, rendered, lambda frame: None)
    player.fps = None
    player.play(3)
    assert several.wait(10) and player.playing
    player.pause()
    count = len(shown)
    assert not player.playing and not player._thread.is_alive()
    assert shown == list(range(3, 3 + count))
