"""D-Rot and D-Pos: errors of predicted head poses.

The paper takes both from MakeItTalk and gives no formula. Here D-Rot is the mean absolute difference of the three
rotation angles and D-Pos that of the three position coordinates, each axis relative to the person's range (maximum
minus minimum over the whole clip), in percent.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from dfa_nerfstudio.evaluation.motion.pose_axes import ANGLES, POSITIONS, PoseAxes


def pose_range(whole_clip: PoseAxes) -> Float[np.ndarray, " 6"]:
    """The person's range of each axis: maximum minus minimum."""
    return whole_clip.max(0) - whole_clip.min(0)


def wrap_angles(axes: PoseAxes, reference: PoseAxes) -> PoseAxes:
    """The same poses with each angle within 180 degrees of the reference's."""
    wrapped = axes.copy()
    wrapped[:, ANGLES] = reference[:, ANGLES] + (axes[:, ANGLES] - reference[:, ANGLES] + 180) % 360 - 180
    return wrapped


def pose_error(
    predicted: Float[np.ndarray, "*N 6"], true: Float[np.ndarray, "*N 6"], span: Float[np.ndarray, " 6"]
) -> tuple[float, float]:
    """D-Rot and D-Pos in percent, means over all frames.

    Args:
        predicted: predicted pose axes.
        true: true pose axes.
        span: the person's `pose_range`.
    """
    error = 100 * np.abs(predicted - true).reshape(-1, 6).mean(0) / np.maximum(span, 1e-9)
    return float(error[ANGLES].mean()), float(error[POSITIONS].mean())
