"""Jumps at the boundaries of the windows from which a long motion is generated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from dfa_nerfstudio.evaluation.motion.motion_energy import frame_differences
from dfa_nerfstudio.evaluation.motion.pose_axes import PoseAxes

PERCENTILE = 99.9
"""Percentile of the person's own frame differences that is the unit of `max_boundary_jump`."""


def max_boundary_jump(
    axes: PoseAxes, boundaries: Sequence[int], own: PoseAxes, shot: Int[np.ndarray, " T"] | None = None
) -> float:
    """Largest frame difference at a window boundary, in units of the person's own 99.9th percentile.

    Above 1, the motion jumps.

    Args:
        axes: the generated motion.
        boundaries: the first frame of each window but the first.
        own: the person's own motion.
        shot: the cuts in `own`, see `ClipAttributes.shot`.
    """
    reference = np.percentile(np.abs(frame_differences(own, shot)), PERCENTILE, axis=0)
    jumps = np.abs(np.diff(axes, axis=0))[np.asarray(boundaries, int) - 1]
    return float((jumps / np.maximum(reference, 1e-9)).max()) if len(jumps) else 0.0
