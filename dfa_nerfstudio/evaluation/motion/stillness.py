"""Share of time in which a head does not move."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from dfa_nerfstudio.evaluation.motion.motion_energy import frame_differences
from dfa_nerfstudio.evaluation.motion.pose_axes import PoseAxes

STILL_THRESHOLD = 0.4
"""Frame difference, relative to the person's median, below which the head counts as still."""


def reference_step(own: PoseAxes, shot: Int[np.ndarray, " T"] | None = None) -> Float[np.ndarray, " 6"]:
    """The person's median absolute change from frame to frame in each axis."""
    return np.median(np.abs(frame_differences(own, shot)), axis=0)


def frozen_fraction(
    axes: PoseAxes, reference: Float[np.ndarray, " 6"], shot: Int[np.ndarray, " T"] | None = None
) -> float:
    """Fraction of frames in which the head is still.

    It is still if the root mean square of its six frame differences, each relative to the person's reference, is below
    `STILL_THRESHOLD`.

    Args:
        axes: consecutive frames.
        reference: the person's `reference_step`.
        shot: the cuts, see `ClipAttributes.shot`.
    """
    relative = frame_differences(axes, shot) / reference
    return float((np.sqrt(np.square(relative).mean(1)) < STILL_THRESHOLD).mean())
