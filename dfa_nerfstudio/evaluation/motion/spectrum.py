"""Whether a head moves at the person's own rates: slow nods, quick nods, no trembling."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.signal import welch

from dfa_nerfstudio.evaluation.motion.pose_axes import PoseAxes
from dfa_nerfstudio.media.rates import FRAME_RATE

SEGMENT = 128
"""Frames of a window of Welch's method: 5 s."""
FLOOR = 1e-4
"""Of the person's strongest power: below lies the noise of tracking, and all motions are alike."""


def power_spectrum(axes: PoseAxes) -> Float[np.ndarray, "F 6"]:
    """Power density of each axis from 0.2 to 12.5 Hz (Welch's method, Hann windows that overlap by half).

    Args:
        axes: of consecutive frames, at least `SEGMENT`.
    """
    _, power = welch(axes, fs=FRAME_RATE, nperseg=SEGMENT, axis=0)
    return power[1:]


def spectrum_distance(generated: PoseAxes, own: PoseAxes) -> float:
    """Mean absolute difference of the two power spectra in dB, over frequencies spaced evenly in their logarithm, and
    over axes; 0 where both move alike at every rate."""
    made, true = (power_spectrum(axes) for axes in (generated, own))
    floor = FLOOR * true.max(0)
    gap = np.abs(10 * np.log10(np.maximum(made, floor) / np.maximum(true, floor))).mean(1)  # [F]
    octaves = 1 / np.arange(1, len(gap) + 1)  # each of them counts alike
    return float(gap @ octaves / octaves.sum())
