"""Mel-frequency cepstral coefficients (MFCC) every 10 ms, aligned to the video frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import librosa
import librosa.feature.spectral  # librosa imports it lazily, which would delay the first live audio
import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.media.feature_rows import HOP, WINDOW, audio_minutes, stream_row_windows
from dfa_nerfstudio.media.rates import MFCC_PER_FRAME, SAMPLE_RATE

NUM_COEFFICIENTS = 13
FFT_SIZE = 512
"""Samples of a Fourier transform, of which the middle `WINDOW` are weighted above zero."""
DELTA_REACH = 4
"""Rows to either side that a delta is computed from."""


def mfcc(audio: Float32[np.ndarray, " S"], num_frames: int) -> Float32[np.ndarray, "T*4 26"]:
    """13 MFCC and their 13 deltas; row k is centred on k * 10 ms, so row 4 i on the start of frame i.

    A row does not depend on later audio, except for the 4 rows that its deltas are computed from: no row is scaled by
    the loudness of the others.

    Args:
        audio: 16 kHz; cut, or padded with silence, to `num_frames`.
        num_frames: number of video frames at 25 frames/s.
    """
    return np.concatenate(list(stream_mfcc(audio_minutes(audio, MFCC_PER_FRAME * num_frames))))


def stream_mfcc(chunks: Iterable[Float32[np.ndarray, " S"]]) -> Iterator[Float32[np.ndarray, "R 26"]]:
    """The rows of `mfcc` of audio that is still arriving, each at most 56 ms after its time.

    Args:
        chunks: 16 kHz audio in chunks of any length; the last video frame that has begun is padded with silence.

    Yields:
        the next rows, one or more.
    """
    coefficients: Float32[np.ndarray, "13 R"] | None = None  # from `DELTA_REACH` rows before the next delta on
    for samples, is_last in stream_row_windows(chunks, FFT_SIZE):
        new = _coefficients(samples)
        before = np.repeat(new[:, :1], DELTA_REACH, axis=1) if coefficients is None else coefficients
        coefficients = np.concatenate([before, new], axis=1)
        if is_last:
            coefficients = np.concatenate([coefficients, np.repeat(coefficients[:, -1:], DELTA_REACH, axis=1)], axis=1)
        if coefficients.shape[1] > 2 * DELTA_REACH:
            deltas = librosa.feature.delta(coefficients, width=2 * DELTA_REACH + 1, mode="nearest")
            yield np.concatenate([coefficients, deltas])[:, DELTA_REACH:-DELTA_REACH].T.astype(np.float32)
            coefficients = coefficients[:, -2 * DELTA_REACH :]


def _coefficients(samples: Float32[np.ndarray, " S"]) -> Float32[np.ndarray, "13 R"]:
    """The MFCC of a Fourier transform every `HOP` samples."""
    power = librosa.feature.melspectrogram(
        y=samples, sr=SAMPLE_RATE, n_fft=FFT_SIZE, win_length=WINDOW, hop_length=HOP, center=False, n_mels=40
    )
    decibel = librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=None)
    return librosa.feature.mfcc(S=decibel, n_mfcc=NUM_COEFFICIENTS)
