"""What is measured of sound that is still arriving is what is measured of the whole."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from dfa_nerfstudio.demo.speech import make_speech
from dfa_nerfstudio.media.chunks import sliding_windows, zip_chunks
from dfa_nerfstudio.media.mfcc import HOP, mfcc, stream_mfcc
from dfa_nerfstudio.media.vad import _stream_loudness as stream_loudness
from dfa_nerfstudio.media.vad import loudness, stream_voice, voice_activity


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return make_speech(7.0, seed=5).samples[: 7 * 16_000 - 77]


def pieces(audio: np.ndarray, heard: list[int] | None = None) -> Iterator[np.ndarray]:
    """Of any length, empty ones too."""
    generator, start = np.random.default_rng(0), 0
    while start < len(audio):
        stop = start + int(generator.integers(0, 1500))
        if heard is not None:
            heard.append(min(stop, len(audio)))
        yield audio[start:stop]
        start = stop


def test_mfcc(speech: np.ndarray) -> None:
    heard, made = [0], []
    for rows in stream_mfcc(pieces(speech, heard)):
        made.append(rows)
        late = heard[-1] - sum(map(len, made)) * HOP
        assert late < 1500 + 0.06 * 16_000, "rows that could be known are held back"
    np.testing.assert_allclose(np.concatenate(made), mfcc(speech, 175), atol=1e-4)
    assert list(stream_mfcc([])) == [] and len(np.concatenate(list(stream_mfcc([speech[:1]])))) == 4


def test_voice(speech: np.ndarray) -> None:
    speech = np.concatenate([speech, np.zeros(20_000, np.float32), speech])
    rows = 4 * -(-len(speech) // 640)
    np.testing.assert_allclose(np.concatenate(list(stream_loudness(pieces(speech)))), loudness(speech, rows))
    whole = voice_activity(speech, rows, rows)
    at_once = np.concatenate(list(stream_voice(pieces(speech))))
    assert len(at_once) == rows and np.mean(at_once != whole) < 0.04  # gaps, which it leaves
    assert not (at_once & ~whole).any()
    heard, made = [0], 0
    for part in stream_voice(pieces(speech, heard), ahead=0):
        made += len(part)
        assert heard[-1] - made * HOP < 1500 + 0.07 * 16_000
    live = np.concatenate(list(stream_voice(pieces(speech), ahead=0)))
    assert len(live) == rows and np.mean(live != at_once) < 0.1


def test_windows_and_pieces_of_equal_length() -> None:
    rows = torch.arange(23.0)[:, None].expand(-1, 2)
    got = torch.cat(list(sliding_windows(rows.split([1, 5, 2, 15]), 3, 8, every=4)))
    padded = torch.cat([rows[:1].expand(3, -1), rows, rows[-1:].expand(8, -1)])
    assert got.shape == (5, 2, 8) and torch.equal(got, padded.unfold(0, 8, 4)[:5])
    assert list(sliding_windows([], 1, 2)) == []
    both = list(zip_chunks(rows.split(4), [rows[:0], rows[:9], rows[9:]]))
    assert all(len(one) == len(other) for one, other in both)
    assert torch.equal(torch.cat([one for one, _ in both]), rows) and torch.equal(torch.cat([b for _, b in both]), rows)
