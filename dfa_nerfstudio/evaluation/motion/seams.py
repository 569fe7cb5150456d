"""Whether the windows that a long motion is made of can be told from its jumps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from dfa_nerfstudio.evaluation.motion.motion_energy import steps
from dfa_nerfstudio.evaluation.motion.pose_axes import PoseAxes

PERCENTILE = 99.9


def worst_seam(
    axes: PoseAxes, borders: Sequence[int], own: PoseAxes, shot: Int[np.ndarray, " T"] | None = None
) -> float:
    """The largest step over a border of windows, in units of the person's own 99.9th percentile; above 1 it jumps.

    Args:
        axes: the motion.
        borders: the first frame of each window but the first.
        own: the person's own motion.
        shot: its cuts.
    """
    usual = np.percentile(np.abs(steps(own, shot)), PERCENTILE, axis=0)
    over = np.abs(np.diff(axes, axis=0))[np.asarray(borders, int) - 1]
    return float((over / np.maximum(usual, 1e-9)).max()) if len(over) else 0.0
