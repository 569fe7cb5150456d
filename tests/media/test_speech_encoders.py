"""The speech encoder and Whisper's encoder: streams, look-ahead, loudness, weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dfa_nerfstudio import demo
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.speech import whisper_encoder
from dfa_nerfstudio.media.speech.log_mel import stream_log_mel
from dfa_nerfstudio.media.speech.speech_encoder import shipped_speech_encoder
from dfa_nerfstudio.media.speech.whisper_encoder import WhisperEncoder, find_whisper


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return read_audio(Path(demo.__file__).with_name("speech.flac"))[: 6 * 16_000 + 77]


@pytest.fixture(scope="module")
def whisper() -> WhisperEncoder:
    return WhisperEncoder(find_whisper())


@pytest.mark.parametrize("size", [1_000, 16_000, 100_000])
def test_streamed_states_are_equal_and_complete(speech: np.ndarray, size: int) -> None:
    encoder = shipped_speech_encoder()
    whole = encoder.encode(speech)
    assert len(whole) == -(-len(speech) // 640)
    chunks = [speech[start : start + size] for start in range(0, len(speech), size)]
    torch.testing.assert_close(torch.cat(list(encoder.stream(chunks))), whole, atol=1e-4, rtol=0)


def test_a_state_needs_at_most_170_ms_of_audio_after_its_frame_begins(speech: np.ndarray) -> None:
    encoder, frame = shipped_speech_encoder(), 75
    changed = speech.copy()
    changed[frame * 640 + round(0.17 * 16_000) :] = 0
    torch.testing.assert_close(encoder.encode(changed)[: frame + 1], encoder.encode(speech)[: frame + 1])


def test_states_tell_sounds_apart_whatever_the_loudness(speech: np.ndarray) -> None:
    """States of the same moment at another loudness are nearer than states of other moments."""
    encoder = shipped_speech_encoder()
    loud, quiet = encoder.encode(speech), encoder.encode(0.2 * speech)
    same = (loud - quiet).square().mean()
    assert same < 0.35 * (loud - loud.roll(20, 0)).square().mean()


def test_log_mel_equals_whispers_own_but_for_its_scaling(speech: np.ndarray) -> None:
    import librosa

    rows = np.concatenate(list(stream_log_mel(np.array_split(speech, 9))))
    spectrum = np.abs(librosa.stft(speech, n_fft=400, hop_length=160)) ** 2
    expected = np.log10(np.maximum(librosa.filters.mel(sr=16_000, n_fft=400, n_mels=80) @ spectrum, 1e-8)).T
    inside = slice(2, 590)
    np.testing.assert_allclose(4 * rows[inside] - 4, expected[inside], atol=1e-3)


def test_whispers_states_are_equal_for_any_chunks(speech: np.ndarray, whisper: WhisperEncoder) -> None:
    audio = np.tile(speech, 5)[: 27 * 16_000]
    whole = torch.cat(list(whisper.stream([audio])))
    assert len(whole) == 27 * 25
    assert torch.equal(torch.cat(list(whisper.stream(np.array_split(audio, 31)))), whole)


def test_missing_and_damaged_whisper_weights_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=f"{tmp_path}: no Whisper model; give a folder"):
        WhisperEncoder(tmp_path)
    (tmp_path / "model.bin").write_bytes(b"not a model")
    with pytest.raises(UserError, match=f"{tmp_path}: not a Whisper model"):
        WhisperEncoder(tmp_path)
    monkeypatch.setattr(whisper_encoder, "HUB_CACHE", tmp_path)
    monkeypatch.setattr(whisper_encoder, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="no Whisper model at hand"):
        find_whisper.__wrapped__()
