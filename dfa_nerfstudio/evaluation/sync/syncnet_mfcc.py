"""MFCC as SyncNet was trained on: those of the package python_speech_features with its defaults.

They share only the name with `media.mfcc`: samples are 16-bit integers, there is pre-emphasis, no window function,
triangular filters that begin and end at whole bins, liftering, and the log energy in place of the first coefficient.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32
from scipy.fft import dct

from dfa_nerfstudio.media.rates import SAMPLE_RATE

WINDOW, HOP, FFT_SIZE = 400, 160, 512
NUM_FILTERS, NUM_COEFFICIENTS = 26, 13
PRE_EMPHASIS, LIFTER = 0.97, 22
_EPSILON = np.finfo(float).eps


def speech_mfcc(audio: Float32[np.ndarray, " S"]) -> Float[np.ndarray, "R 13"]:
    """13 coefficients every 10 ms; row k covers the 25 ms that begin at k * 10 ms.

    Args:
        audio: samples at 16 kHz, full scale 1.
    """
    samples = np.round(np.clip(audio.astype(float), -1, 1) * 32767)
    samples = np.concatenate([samples[:1], samples[1:] - PRE_EMPHASIS * samples[:-1]])
    rows = 1 + max(-(-(len(samples) - WINDOW) // HOP), 0)
    samples = np.pad(samples, (0, max((rows - 1) * HOP + WINDOW - len(samples), 0)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP][:rows]
    power = np.abs(np.fft.rfft(frames, FFT_SIZE)) ** 2 / FFT_SIZE
    energies = power @ _mel_filters().T
    energies[energies == 0] = _EPSILON
    cepstrum = np.asarray(dct(np.log(energies), axis=1, norm="ortho"))[:, :NUM_COEFFICIENTS]
    cepstrum *= 1 + LIFTER / 2 * np.sin(np.pi * np.arange(NUM_COEFFICIENTS) / LIFTER)
    total = power.sum(1)
    cepstrum[:, 0] = np.log(np.where(total == 0, _EPSILON, total))
    return cepstrum


def _mel_filters() -> Float[np.ndarray, "F B"]:
    """Triangular filters, evenly spaced in mel from 0 to half the sample rate."""
    highest = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, highest, NUM_FILTERS + 2) / 2595) - 1)
    edges = np.floor((FFT_SIZE + 1) * hertz / SAMPLE_RATE)
    bins = np.arange(FFT_SIZE // 2 + 1)
    low, middle, high = (edges[start : start + NUM_FILTERS, None] for start in range(3))
    rising, falling = (bins - low) / np.maximum(middle - low, 1), (high - bins) / np.maximum(high - middle, 1)
    within = (bins >= low) & (bins < high)
    return np.where(within, np.where(bins < middle, rising, falling), 0.0)
