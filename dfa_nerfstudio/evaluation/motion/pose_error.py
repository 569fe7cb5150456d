"""D-Rot and D-Pos: how far predicted head poses are from the true ones.

The paper takes both from MakeItTalk and gives no formula. Here D-Rot is the mean absolute difference of the three
rotation angles, D-Pos that of the three coordinates of the place, each axis relative to the person's range (largest
less smallest value in the whole clip), in percent.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from dfa_nerfstudio.evaluation.motion.pose_axes import ANGLES, PLACES, PoseAxes


def pose_range(whole_clip: PoseAxes) -> Float[np.ndarray, " 6"]:
    """The person's range of each axis."""
    return whole_clip.max(0) - whole_clip.min(0)


def pose_error(
    predicted: Float[np.ndarray, "*N 6"], true: Float[np.ndarray, "*N 6"], span: Float[np.ndarray, " 6"]
) -> tuple[float, float]:
    """D-Rot and D-Pos in percent, means over all frames.

    Args:
        predicted: pose axes.
        true: what they should be.
        span: the person's `pose_range`.
    """
    error = 100 * np.abs(predicted - true).reshape(-1, 6).mean(0) / np.maximum(span, 1e-9)
    return float(error[ANGLES].mean()), float(error[PLACES].mean())
