"""The frame player: real-time playback, every frame, looping, and the start of the audio."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from dfa_nerfstudio.viewer.frame_player import FramePlayer


class FakeRenderer:
    """Takes the given time for each frame, and records the frame numbers."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.frames, self.frame_rendered = seconds, [], threading.Event()

    def show_frame(self, frame: int) -> None:
        self.frames.append(frame)
        threading.Timer(self.seconds, self.frame_rendered.set).start()


def play(
    render_seconds: float,
    fps: float | None,
    num_frames: int = 1000,
    loop: bool = True,
    seconds: float = 1.0,
    on_clock_start: Callable[[int], None] = lambda frame: None,
) -> list[int]:
    """Plays from frame 3 for a while and returns the shown frames."""
    renderer = FakeRenderer(render_seconds)
    player = FramePlayer(lambda: num_frames, renderer.show_frame, renderer.frame_rendered, on_clock_start)
    player.fps, player.loop = fps, loop
    player.play(3)
    time.sleep(seconds)
    player.pause()
    count = len(renderer.frames)
    time.sleep(0.1)
    assert len(renderer.frames) == count and not player.playing
    return renderer.frames


def test_real_time_playback_on_a_slow_machine_skips_frames():
    frames = play(0.2, 25.0)
    assert frames[0] == 3 and len(frames) < 9
    assert 12 < frames[-1] - 3 < 30, "playback is not in real time"


def test_playback_as_fast_as_possible_skips_no_frame():
    frames = play(0.01, None)
    assert frames == list(range(3, 3 + len(frames))) and len(frames) > 20


def test_playback_loops_or_ends():
    assert play(0.001, None, num_frames=6)[:8] == [3, 4, 5, 0, 1, 2, 3, 4]
    assert play(0.001, None, num_frames=6, loop=False, seconds=0.3) == [3, 4, 5, 5]


def test_audio_starts_where_the_clock_starts():
    starts: list[int] = []
    play(0.001, 25.0, num_frames=9, seconds=0.8, on_clock_start=starts.append)
    assert starts[:3] == [3, 0, 0]
    starts.clear()
    play(0.001, None, num_frames=6, seconds=0.1, on_clock_start=starts.append)
    assert starts == []
