"""Which frames of a video are worth looking at."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

APART = 12
"""Frames between two lowest ones: neighbours are alike."""


def lowest(values: Float[np.ndarray, " T"], count: int) -> list[int]:
    """The frames of the lowest values, each the lowest of its neighbourhood; NaN are left out.

    Example:
        >>> lowest(np.array([3.0, 1.0, 0.9, *[2.0] * 20, 1.5]), 2)
        [2, 23]
    """
    left, found = np.where(np.isfinite(values), values, np.inf), list[int]()
    while len(found) < count and np.isfinite(left).any():
        number = int(left.argmin())
        found.append(number)
        left[max(number - APART, 0) : number + APART + 1] = np.inf
    return found


def evenly(valid_frames: Bool[np.ndarray, " T"], count: int) -> list[int]:
    """Frames spread evenly over those of use."""
    numbers = np.flatnonzero(valid_frames)
    return np.unique(numbers[np.linspace(0, len(numbers) - 1, count).round().astype(int)]).tolist()
