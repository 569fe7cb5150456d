"""Which frames a live stream drops, and how latency is measured."""

from __future__ import annotations

import pytest

from dfa_nerfstudio.talk import live_stream
from dfa_nerfstudio.talk.live_stream import MAX_LATENCY_S, Latency


def test_a_frame_is_dropped_by_its_audio_and_its_presentation_time(monkeypatch: pytest.MonkeyPatch):
    now = 10.0
    monkeypatch.setattr(live_stream.time, "monotonic", lambda: now)
    latency = Latency(25.0)
    chunks = latency.on_audio([[0.0] * 640] * 50)
    for _ in range(25):  # a second of audio at once
        next(chunks)
    now = 10.0 + MAX_LATENCY_S - 0.01
    assert not any(latency.should_drop(number) for number in range(12)), "they are presented later"
    now = 10.0 + 12 / 25 + MAX_LATENCY_S + 0.01
    assert latency.should_drop(12) and not latency.should_drop(13)
    assert latency.num_repeated == 1
    now = 12.0
    next(chunks)
    assert not latency.should_drop(25), "its audio has only just arrived"
    now = 12.3
    for _ in range(13):
        latency.on_frame()
    assert latency.seconds == pytest.approx([2.3] * 13)
    assert len(latency.rendering) == 12, "the thirteenth was not rendered"
    assert latency.rendering[0] == pytest.approx(2.3 - MAX_LATENCY_S + 0.01)
    assert str(latency) == (
        f"13 frames, 2.30 s after their audio (median; at most 2.30 s), {latency.rendering[0]:.2f} s of it rendering; "
        "1 of them repeat the previous frame"
    )
