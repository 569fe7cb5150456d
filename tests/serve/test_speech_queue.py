"""What a client sends is handed out in real time, with silence in between."""

from __future__ import annotations

import numpy as np
import pytest

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.serve.speech_queue import MAX_PAUSE_S, Boundary, SpeechQueue

TICK = 320


def pcm(seconds: float, rate: int = 16_000, level: int = 8192) -> bytes:
    return np.full(round(seconds * rate), level, "<i2").tobytes()


class Player:
    """Takes 20 ms after 20 ms, by a clock of its own."""

    def __init__(self, queue: SpeechQueue) -> None:
        self.queue, self.position = queue, 0
        self.boundaries: list[Boundary] = []

    @property
    def now(self) -> float:
        return self.position / 16_000

    def play(self, seconds: float) -> np.ndarray:
        parts = []
        for _ in range(round(seconds * 16_000 / TICK)):
            due = self.queue.take(TICK, self.now)
            for boundary in due.boundaries:
                boundary.position += self.position
            self.boundaries += due.boundaries
            parts.append(due.samples)
            self.position += TICK
        return np.concatenate(parts)


@pytest.fixture
def player() -> Player:
    return Player(SpeechQueue(16_000, jitter_buffer=0.06, max_queued=10.0))


def test_audio_that_is_sent_at_once_is_played_in_real_time(player: Player):
    assert not player.play(1.0).any()
    player.queue.write(pcm(1.5) + b"x", player.now)  # an odd byte waits for the next message
    first = player.play(1.0)
    assert np.allclose(first, 0.25) and player.queue.queued == pytest.approx(0.5)
    player.queue.end_utterance()
    player.queue.write(pcm(0.5, level=16384), player.now)
    player.queue.end_utterance()
    rest = player.play(2.0)
    assert np.allclose(rest[:8000], 0.25) and np.allclose(rest[8000:16_000], 0.5) and not rest[16_000:].any()
    assert player.boundaries == [
        Boundary("speaking", 16_000, 1, 0),
        Boundary("finished", 40_000, 1, 24_000),
        Boundary("speaking", 40_000, 2, 24_000),
        Boundary("finished", 48_000, 2, 32_000),
    ]


def test_speech_starts_when_enough_has_arrived_or_no_more_will_come(player: Player):
    player.queue.write(pcm(0.04), player.now)
    assert not player.play(0.06).any(), "0.04 s have arrived"
    assert player.play(0.02).any(), "0.06 s have passed"
    player.play(1.0)
    player.queue.write(pcm(0.02), player.now)
    player.queue.end_utterance()
    assert player.play(0.02).all(), "it is all there is"
    player.queue.write(pcm(0.06), player.now)
    assert player.play(0.02).all(), "the buffer is full"


def test_a_pause_within_an_utterance_is_bridged_and_a_longer_one_ends_it(player: Player):
    player.queue.write(pcm(0.1), player.now)
    player.play(0.3)
    player.queue.write(pcm(0.1), player.now)
    player.play(0.1 + MAX_PAUSE_S + 0.1)
    assert [(one.kind, one.utterance, one.sample) for one in player.boundaries] == [
        ("speaking", 1, 0),
        ("speaking", 1, 1600),
        ("finished", 1, 3200),
    ]
    assert [one.position / 16_000 for one in player.boundaries] == pytest.approx(
        [0.0, 0.3, 0.4 + MAX_PAUSE_S], abs=0.03
    )


def test_an_interruption_drops_what_is_queued_and_samples_are_counted_on():
    player = Player(SpeechQueue(48_000, jitter_buffer=0.06, max_queued=10.0))
    player.queue.write(pcm(5.0, 48_000), player.now)
    player.play(1.0)
    player.queue.interrupt()
    assert not player.play(1.0).any() and not player.queue.queued
    player.queue.write(pcm(0.5, 48_000), player.now)
    player.queue.end_utterance()
    assert (player.play(1.0) > 0.1).sum() == pytest.approx(8000, abs=20)
    speaking = [one for one in player.boundaries if one.kind == "speaking"]
    assert [(one.utterance, one.sample) for one in speaking] == [(1, 0), (2, 240_000)]
    assert player.boundaries[-1].kind == "finished" and player.boundaries[-1].sample == pytest.approx(264_000, abs=60)


def test_too_much_audio_is_refused_and_the_rest_is_kept(player: Player):
    player.queue.write(pcm(9.0), player.now)
    with pytest.raises(UserError, match="more than 10 s of audio would be queued"):
        player.queue.write(pcm(2.0), player.now)
    player.queue.end_utterance()
    assert player.queue.queued == pytest.approx(9.0)
