"""MFCC of whole recordings and of streams."""

from __future__ import annotations

import librosa
import numpy as np

from dfa_nerfstudio.media.feature_rows import HOP
from dfa_nerfstudio.media.mfcc import mfcc, stream_mfcc
from tests.media.conftest import random_chunks


def test_streamed_mfcc_equal_those_of_the_whole_without_delay(speech: np.ndarray) -> None:
    received, rows = [0], []
    for chunk in stream_mfcc(random_chunks(speech, received)):
        rows.append(chunk)
        delay = received[-1] - sum(map(len, rows)) * HOP
        assert delay < 1500 + 0.06 * 16_000, "rows are held back longer than their windows and deltas need"
    np.testing.assert_allclose(np.concatenate(rows), mfcc(speech, 175), atol=1e-4)
    assert list(stream_mfcc([])) == [] and len(np.concatenate(list(stream_mfcc([speech[:1]])))) == 4


def test_mfcc_are_those_of_librosa(speech: np.ndarray) -> None:
    rows = mfcc(speech, 175)
    padded = np.pad(speech[: 700 * HOP], (256, 256))
    power = librosa.feature.melspectrogram(
        y=padded, sr=16_000, n_fft=512, win_length=400, hop_length=HOP, center=False, n_mels=40
    )
    decibel = librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=None)
    expected = librosa.feature.mfcc(S=decibel, n_mfcc=13)[:, :700]
    deltas = librosa.feature.delta(expected, width=9, mode="nearest")
    same = slice(0, min(len(rows), expected.shape[1]) - 4)  # at the end, windows differ in what follows the audio
    np.testing.assert_allclose(rows[same, :13], expected.T[same], atol=2e-3)
    np.testing.assert_allclose(rows[same, 13:], deltas.T[same], atol=2e-3)
    assert np.ptp(rows, axis=0).min() > 1


def test_rows_do_not_depend_on_later_audio() -> None:
    rng = np.random.default_rng(0)
    audio = rng.normal(0, 0.05, 4 * 16_000).astype(np.float32)
    louder = audio.copy()
    louder[3 * 16_000 :] *= 15
    first, second = mfcc(audio, 100), mfcc(louder, 100)
    unchanged = 300 - 4 - 2  # deltas reach 4 rows ahead, windows 12.5 ms
    np.testing.assert_array_equal(first[:unchanged], second[:unchanged])
    assert np.abs(first[300:] - second[300:]).max() > 1
