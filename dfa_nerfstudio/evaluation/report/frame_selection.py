"""Selection of frames for contact sheets."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

MIN_DISTANCE = 12
"""Frames between two of the `lowest_frames`, because neighbouring frames are alike."""


def lowest_frames(values: Float[np.ndarray, " T"], count: int) -> list[int]:
    """Frames with the lowest values, at least `MIN_DISTANCE` apart; NaN are left out.

    Example:
        >>> lowest_frames(np.array([3.0, 1.0, 0.9, *[2.0] * 20, 1.5]), 2)
        [2, 23]
    """
    remaining, found = np.where(np.isfinite(values), values, np.inf), list[int]()
    while len(found) < count and np.isfinite(remaining).any():
        number = int(remaining.argmin())
        found.append(number)
        remaining[max(number - MIN_DISTANCE, 0) : number + MIN_DISTANCE + 1] = np.inf
    return found


def evenly_spaced_frames(valid_frames: Bool[np.ndarray, " T"], count: int) -> list[int]:
    """Valid frames at even distances."""
    numbers = np.flatnonzero(valid_frames)
    return np.unique(numbers[np.linspace(0, len(numbers) - 1, count).round().astype(int)]).tolist()
