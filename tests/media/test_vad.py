"""Loudness and voice activity, against known signals, the word times of real recordings, and as streams."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dfa_nerfstudio.demo.speech import make_speech
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.feature_rows import HOP
from dfa_nerfstudio.media.vad import MIN_LOUDNESS, _stream_loudness, loudness, stream_voice_activity, voice_activity
from tests.conftest import CLIPS, needs_clips
from tests.media.conftest import random_chunks


def test_loudness_is_in_decibel_of_full_scale() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000).astype(np.float32)
    level = loudness(np.concatenate([0 * tone, tone, 0.1 * tone]), 300)
    assert level.shape == (300,)
    assert level[50] == MIN_LOUDNESS
    assert level[[150, 250]] == pytest.approx([-3.01, -23.01], abs=0.05)


def test_streamed_voice_activity_is_that_of_the_whole_but_for_short_gaps(speech: np.ndarray) -> None:
    speech = np.concatenate([speech, np.zeros(20_000, np.float32), speech])
    rows = 4 * -(-len(speech) // 640)
    streamed_loudness = np.concatenate(list(_stream_loudness(random_chunks(speech))))
    np.testing.assert_allclose(streamed_loudness, loudness(speech, rows))
    whole = voice_activity(speech, rows, rows)
    streamed = np.concatenate(list(stream_voice_activity(random_chunks(speech))))
    assert len(streamed) == rows and np.mean(streamed != whole) < 0.04  # gaps, which are not bridged
    assert not (streamed & ~whole).any()
    received, num_rows = [0], 0
    for chunk in stream_voice_activity(random_chunks(speech, received), lookahead_rows=0):
        num_rows += len(chunk)
        assert received[-1] - num_rows * HOP < 1500 + 0.07 * 16_000
    live = np.concatenate(list(stream_voice_activity(random_chunks(speech), lookahead_rows=0)))
    assert len(live) == rows and np.mean(live != streamed) < 0.1


def word_rows(path: Path, num_rows: int) -> np.ndarray:
    """From a GRID alignment: true in the 10 ms rows of a word."""
    times, spoken = np.arange(num_rows) * 0.01, np.zeros(num_rows, bool)
    for line in path.read_text().splitlines():
        start, end, word = line.split()
        if word not in ("sil", "sp"):
            spoken |= (times >= int(start) / 25_000) & (times < int(end) / 25_000)
    return spoken


def with_noise(audio: np.ndarray, spoken: np.ndarray, signal_to_noise: float) -> np.ndarray:
    """Adds pink noise at a signal-to-noise ratio in dB of the speech."""
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(len(audio)))
    spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(len(audio), 1 / 16_000), 50))
    noise = np.fft.irfft(spectrum, len(audio))
    power = np.mean(audio[np.repeat(spoken, 160)] ** 2)
    return (audio + noise * np.sqrt(power / np.mean(noise**2)) * 10 ** (-signal_to_noise / 20)).astype(np.float32)


def test_voice_activity_of_speech_with_known_phonemes() -> None:
    speech = make_speech(24.0, seed=5)
    times, spoken = np.arange(2400) * 0.01, np.zeros(2400, bool)
    for phoneme in speech.phonemes:
        if not phoneme.label.startswith("_"):
            spoken |= (times >= phoneme.start) & (times < phoneme.end)
    for audio in (speech.samples, with_noise(speech.samples, spoken, 15)):
        voice = voice_activity(audio, 2400, 2160)
        assert np.mean(voice == spoken) > 0.94
        assert np.mean(voice[~spoken]) < 0.3
        other = np.concatenate([audio[: 540 * 640], 0.5 * audio[: 60 * 640]])
        np.testing.assert_array_equal(voice_activity(other, 2400, 2160)[:2160], voice[:2160])


@needs_clips
def test_voice_activity_of_words() -> None:
    # Alignments in which the first word does not include the silence before it.
    files = sorted((CLIPS / "grid_s1").glob("b*.align"))[:8]
    audio, spoken = [], []
    for path in files:
        audio.append(read_audio(path.with_suffix(".mp4"))[: 72 * 640])
        spoken.append(word_rows(path, 288))
    clean, truth = np.concatenate(audio), np.concatenate(spoken)
    for recording in (clean, with_noise(clean, truth, 10)):
        assert np.mean(voice_activity(recording, len(truth), len(truth) - 200) == truth) > 0.94
