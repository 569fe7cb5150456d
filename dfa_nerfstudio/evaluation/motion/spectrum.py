"""Spectral distance between generated head motion and the person's own."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.signal import welch

from dfa_nerfstudio.evaluation.motion.pose_axes import PoseAxes
from dfa_nerfstudio.media.rates import FRAME_RATE

SEGMENT_FRAMES = 128
"""Frames in a window of Welch's method: 5 s."""
POWER_FLOOR = 1e-4
"""Power, relative to the person's maximum, below which tracking noise dominates and all motions are alike."""


def power_spectrum(axes: PoseAxes) -> Float[np.ndarray, "F 6"]:
    """Power spectral density of each axis from 0.2 to 12.5 Hz (Welch's method, Hann windows with half overlap).

    Args:
        axes: consecutive frames, at least `SEGMENT_FRAMES`.
    """
    _, power = welch(axes, fs=FRAME_RATE, nperseg=SEGMENT_FRAMES, axis=0)
    return power[1:]


def spectral_distance(generated: PoseAxes, own: PoseAxes) -> float:
    """Mean absolute difference of the two power spectra in dB, over axes and over log-spaced frequencies.

    0 if both motions have the same power at every frequency.
    """
    power, own_power = (power_spectrum(axes) for axes in (generated, own))
    floor = POWER_FLOOR * own_power.max(0)
    gap = np.abs(10 * np.log10(np.maximum(power, floor) / np.maximum(own_power, floor))).mean(1)  # [F]
    octaves = 1 / np.arange(1, len(gap) + 1)  # weights that count each octave equally
    return float(gap @ octaves / octaves.sum())
