"""Fraction of time that a head spends outside the range of poses seen in training."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from dfa_nerfstudio.evaluation.motion.pose_axes import PoseAxes


def out_of_range_fraction(axes: PoseAxes, training: PoseAxes) -> Float[np.ndarray, " 6"]:
    """Fraction of frames in which each axis lies outside its range in the training frames.

    There the renderer extrapolates.
    """
    return ((axes < training.min(0)) | (axes > training.max(0))).mean(0)
