"""The MFCC that SyncNet was trained on: those of the package python_speech_features with its defaults.

They differ from the program's own (`preprocessing/sound/mfcc.py`) in everything but the name: samples as 16-bit
numbers, pre-emphasis, no window function, triangles that begin and end on whole bins, liftering, and the logarithm of
the energy in the first coefficient's place.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32
from scipy.fft import dct

from dfa_nerfstudio.media.rates import SAMPLE_RATE

WINDOW, HOP, TRANSFORM = 400, 160, 512
FILTERS, COEFFICIENTS = 26, 13
PRE_EMPHASIS, LIFTER = 0.97, 22
_TINY = np.finfo(float).eps


def speech_mfcc(sound: Float32[np.ndarray, " S"]) -> Float[np.ndarray, "R 13"]:
    """13 coefficients every 10 ms; row k hears the 25 ms from k * 10 ms on.

    Args:
        sound: 16 kHz, full scale 1.
    """
    samples = np.round(np.clip(sound.astype(float), -1, 1) * 32767)
    samples = np.concatenate([samples[:1], samples[1:] - PRE_EMPHASIS * samples[:-1]])
    rows = 1 + max(-(-(len(samples) - WINDOW) // HOP), 0)
    samples = np.pad(samples, (0, max((rows - 1) * HOP + WINDOW - len(samples), 0)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP][:rows]
    power = np.abs(np.fft.rfft(frames, TRANSFORM)) ** 2 / TRANSFORM
    energies = power @ _triangles().T
    energies[energies == 0] = _TINY
    cepstrum = np.asarray(dct(np.log(energies), axis=1, norm="ortho"))[:, :COEFFICIENTS]
    cepstrum *= 1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER)
    total = power.sum(1)
    cepstrum[:, 0] = np.log(np.where(total == 0, _TINY, total))
    return cepstrum


def _triangles() -> Float[np.ndarray, "F B"]:
    """Filters evenly spaced in mel from 0 to half the sample rate."""
    highest = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, highest, FILTERS + 2) / 2595) - 1)
    edges = np.floor((TRANSFORM + 1) * hertz / SAMPLE_RATE)
    bins = np.arange(TRANSFORM // 2 + 1)
    low, middle, high = (edges[start : start + FILTERS, None] for start in range(3))
    rising, falling = (bins - low) / np.maximum(middle - low, 1), (high - bins) / np.maximum(high - middle, 1)
    within = (bins >= low) & (bins < high)
    return np.where(within, np.where(bins < middle, rising, falling), 0.0)
