"""Jitter of a trajectory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def jitter(trajectory: Float[np.ndarray, "T ..."], segments: Sequence[slice]) -> float:
    """Standard deviation of the second difference over time within segments; 0 if they are shorter than 3 frames.

    The second difference is large for shaking and small for smooth motion.

    Example:
        >>> jitter(np.array([0.0, 1.0, 0.0, 1.0]), [slice(0, 4)])
        2.0
    """
    second = [np.diff(trajectory[segment], 2, axis=0) for segment in segments if segment.stop - segment.start > 2]
    return float(np.concatenate(second).std()) if second else 0.0
