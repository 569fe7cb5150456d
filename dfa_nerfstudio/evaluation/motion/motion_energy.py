"""Energy of head motion."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from dfa_nerfstudio.evaluation.motion.pose_axes import PoseAxes


def motion_energy(axes: PoseAxes, shot: Int[np.ndarray, " T"] | None = None) -> Float[np.ndarray, " 6"]:
    """Mean square change from frame to frame of each axis, in its unit squared.

    Args:
        axes: consecutive frames.
        shot: see `ClipAttributes.shot`; changes across cuts are left out.
    """
    return np.square(frame_differences(axes, shot)).mean(0)


def frame_differences(axes: PoseAxes, shot: Int[np.ndarray, " T"] | None = None) -> Float[np.ndarray, "M 6"]:
    """Changes from frame to frame, without those across cuts."""
    change = np.diff(axes, axis=0)
    return change if shot is None else change[(np.diff(shot) == 0) & (shot[1:] >= 0)]
