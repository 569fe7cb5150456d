"""Power of speech in mel bands, every 10 ms.

librosa computes the same, but its import compiles functions that nothing here needs, each time for almost two seconds.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import scipy.fft
from jaxtyping import Float32

from dfa_nerfstudio.media.feature_rows import HOP, WINDOW
from dfa_nerfstudio.media.rates import SAMPLE_RATE

_LINEAR_SLOPE, _LINEAR_BANDS, _LOG_STEP = 200 / 3, 15, np.log(6.4) / 27
"""Slaney's mel scale: hertz per mel below 1000 Hz, mel there, and logarithm of the frequency per mel above."""


def row_windows(samples: Float32[np.ndarray, " S"], width: int) -> Float32[np.ndarray, "R width"]:
    """Views of `width` samples that begin every `HOP` samples."""
    return np.lib.stride_tricks.sliding_window_view(samples, width)[::HOP]


def mel_spectrum(
    samples: Float32[np.ndarray, " S"], num_bands: int, fft_size: int = WINDOW
) -> Float32[np.ndarray, "R num_bands"]:
    """Power in mel bands between 0 and 8 kHz, with a Hann window of 25 ms.

    Args:
        samples: 16 kHz; a row for each window of `fft_size` samples that begins every `HOP` samples.
        num_bands: number of bands.
        fft_size: samples of a Fourier transform, of which the middle `WINDOW` are weighted above zero.
    """
    spectrum = np.asarray(scipy.fft.rfft(row_windows(samples, fft_size) * _hann_window(fft_size), axis=1))
    return (spectrum.real**2 + spectrum.imag**2) @ mel_filters(num_bands, fft_size).T


@cache
def mel_filters(num_bands: int, fft_size: int) -> Float32[np.ndarray, "num_bands frequencies"]:
    """Weights of a Fourier transform's frequencies in each band: triangles of equal area (Slaney 1998)."""
    mel_limit = _LINEAR_BANDS + np.log(SAMPLE_RATE / 2 / 1000) / _LOG_STEP
    mel = np.linspace(0, mel_limit, num_bands + 2)
    above = 1000 * np.exp(_LOG_STEP * (mel - _LINEAR_BANDS))
    corners = np.where(mel < _LINEAR_BANDS, _LINEAR_SLOPE * mel, above)
    frequencies = np.fft.rfftfreq(fft_size, 1 / SAMPLE_RATE)
    slopes = frequencies - corners[:, None]  # [corners, frequencies]
    widths = np.diff(corners)[:, None]
    rising, falling = slopes[:-2] / widths[:-1], -slopes[2:] / widths[1:]
    triangles = np.maximum(np.minimum(rising, falling), 0)
    return (triangles * 2 / (corners[2:] - corners[:-2])[:, None]).astype(np.float32)


@cache
def _hann_window(fft_size: int) -> Float32[np.ndarray, " fft_size"]:
    window = np.hanning(WINDOW + 1)[:-1]
    before = (fft_size - WINDOW) // 2
    return np.pad(window, (before, fft_size - WINDOW - before)).astype(np.float32)
