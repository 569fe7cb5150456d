"""Which frames a live stream has no time for."""

from __future__ import annotations

import pytest

from dfa_nerfstudio.talk import live_stream as live
from dfa_nerfstudio.talk.live_stream import LATE, Latency


def test_a_frame_is_late_by_its_sound_and_by_when_it_is_played(monkeypatch: pytest.MonkeyPatch):
    now = 10.0
    monkeypatch.setattr(live.time, "monotonic", lambda: now)
    latency = Latency(25.0)
    pieces = latency.hear([[0.0] * 640] * 50)
    for _ in range(25):  # a second of sound, all at once
        next(pieces)
    now = 10.0 + LATE - 0.01
    assert not any(latency.late(number) for number in range(12)), "they are played later"
    now = 10.0 + 12 / 25 + LATE + 0.01
    assert latency.late(12) and not latency.late(13)
    assert latency.repeated == 1
    now = 12.0
    next(pieces)
    assert not latency.late(25), "its sound has only just come"
    now = 12.3
    for _ in range(13):
        latency.show()
    assert latency.seconds[:3] == pytest.approx([2.3] * 3)
    assert len(latency.rendering) == 12, "the thirteenth was not rendered"
    assert latency.rendering[0] == pytest.approx(2.3 - LATE + 0.01)
