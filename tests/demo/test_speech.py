"""The bundled speech: phoneme times against its samples, mouth shapes against its phonemes."""

from __future__ import annotations

import numpy as np
import pytest

from dfa_nerfstudio.demo.speech import driving_sentence, make_speech
from dfa_nerfstudio.demo.visemes import mouth_shape

VOWELS = {"a", "aa", "A:", "A@", "V", "0", "E", "aI", "aU", "oU", "eI"}


def test_phoneme_times_match_loudness_and_zero_crossings() -> None:
    speech = make_speech(45, seed=0)

    def loudness(labels: set[str]) -> np.ndarray:
        spans = [(round(p.start * 16_000), round(p.end * 16_000)) for p in speech.phonemes if p.label in labels]
        return np.array([np.sqrt(np.mean(speech.samples[a:b] ** 2)) for a, b in spans if b - a > 320])

    pauses, vowels, hisses = loudness({"_", "_:"}), loudness(VOWELS), {"s", "S"}
    assert len(pauses) > 20 and len(vowels) > 40
    assert np.percentile(pauses, 90) < 0.25 * np.percentile(vowels, 10)

    def crossings(labels: set[str]) -> float:
        spans = [(round(p.start * 16_000), round(p.end * 16_000)) for p in speech.phonemes if p.label in labels]
        return float(np.median([np.mean(np.diff(np.sign(speech.samples[a:b])) != 0) for a, b in spans]))

    assert crossings(hisses) > 3 * crossings(VOWELS), "hisses cross zero far more often than vowels"


def test_sentences_repeat_only_after_all_were_used() -> None:
    for seconds in (0.5, 24, 100):
        speech = make_speech(seconds, seed=1)
        assert len(speech.samples) == seconds * 16_000
        assert all(0 <= p.start < p.end <= seconds for p in speech.phonemes)
        assert all(a.end <= b.start + 1e-9 for a, b in zip(speech.phonemes, speech.phonemes[1:], strict=False))

    def openings(speech_seconds: float, seed: int) -> list[tuple[str, ...]]:
        """Returns the first six phonemes of every sentence."""
        phonemes = make_speech(speech_seconds, seed).phonemes
        starts = [i for i, p in enumerate(phonemes) if i == 0 or p.start - phonemes[i - 1].end > 0.25]
        return [tuple(p.label for p in phonemes[i : i + 6]) for i in starts]

    once = openings(24, seed=1)
    assert len(set(once)) == len(once) >= 5
    twice = [opening for opening in openings(85, seed=1) if len(opening) == 6]  # the last one is cut off
    assert len(set(twice[:8])) == 8 and set(twice[8:]) <= set(twice[:8])
    assert openings(85, seed=2) != twice
    assert tuple(p.label for p in driving_sentence().phonemes[:6]) not in twice


@pytest.mark.parametrize("fps", [25, 60])
def test_mouth_shape_matches_the_phonemes(fps: int) -> None:
    speech = make_speech(40, seed=0)
    times = np.arange(40 * fps) / fps
    opening, rounding = mouth_shape(speech.phonemes, times)
    assert opening.min() >= 0 and opening.max() < 0.3 and np.abs(rounding).max() <= 1

    def middle(labels: set[str], track: np.ndarray) -> np.ndarray:
        return np.array([np.interp((p.start + p.end) / 2, times, track) for p in speech.phonemes if p.label in labels])

    assert middle({"p", "b", "m"}, opening).max() < 0.04, "lips meet"
    assert np.median(middle({"A:", "a", "V"}, opening)) > 0.12
    assert np.median(middle({"u:", "w"}, rounding)) > 0.5 > 0 > np.median(middle({"i:", "s"}, rounding))
    silent = np.ones(len(times), bool)
    for p in speech.phonemes:
        silent &= (times < p.start - 0.1) | (times > p.end + 0.1)
    assert silent.sum() > fps and opening[silent].max() < 1e-3
    assert np.abs(np.diff(opening)).max() * fps < 5, "lips do not jump"
