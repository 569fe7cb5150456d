"""Jitter of a trajectory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def jitter(places: Float[np.ndarray, "T ..."], stretches: Sequence[slice]) -> float:
    """Standard deviation of the second difference over time, within stretches: what shakes, not what moves."""
    second = [np.diff(places[run], 2, axis=0) for run in stretches if run.stop - run.start > 2]
    return float(np.concatenate(second).std()) if second else 0.0
