"""Mel-frequency cepstral coefficients (MFCC) every 10 ms, aligned to the video frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import scipy.fft
from jaxtyping import Float32

from dfa_nerfstudio.media.feature_rows import audio_minutes, stream_row_windows
from dfa_nerfstudio.media.mel_spectrum import mel_spectrum
from dfa_nerfstudio.media.rates import MFCC_PER_FRAME

NUM_COEFFICIENTS, NUM_MEL = 13, 40
MIN_POWER = 1e-10
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
    coefficients: Float32[np.ndarray, "R 13"] | None = None  # from `DELTA_REACH` rows before the next delta on
    for samples, is_last in stream_row_windows(chunks, FFT_SIZE):
        new = _coefficients(samples)
        before = np.repeat(new[:1], DELTA_REACH, axis=0) if coefficients is None else coefficients
        coefficients = np.concatenate([before, new])
        if is_last:
            coefficients = np.concatenate([coefficients, np.repeat(coefficients[-1:], DELTA_REACH, axis=0)])
        if len(coefficients) > 2 * DELTA_REACH:
            yield np.concatenate([coefficients[DELTA_REACH:-DELTA_REACH], _deltas(coefficients)], axis=1)
            coefficients = coefficients[-2 * DELTA_REACH :]


def _coefficients(samples: Float32[np.ndarray, " S"]) -> Float32[np.ndarray, "R 13"]:
    """The MFCC of a Fourier transform every `HOP` samples."""
    decibel = 10 * np.log10(np.maximum(mel_spectrum(samples, NUM_MEL, FFT_SIZE), MIN_POWER))
    return np.asarray(scipy.fft.dct(decibel, norm="ortho"))[:, :NUM_COEFFICIENTS]


def _deltas(coefficients: Float32[np.ndarray, "R 13"]) -> Float32[np.ndarray, "R-8 13"]:
    """Slopes of lines through 9 rows, the first 4 and the last 4 left out."""
    offsets = np.arange(-DELTA_REACH, DELTA_REACH + 1, dtype=np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(coefficients, len(offsets), axis=0)
    return windows @ (offsets / (offsets @ offsets))
