"""How often a head goes where the person's never did."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from dfa_nerfstudio.evaluation.motion.pose_axes import PoseAxes


def outside_share(axes: PoseAxes, training: PoseAxes) -> Float[np.ndarray, " 6"]:
    """Share of the frames in which each axis lies outside its range in the training frames.

    There the renderer has seen nothing.
    """
    return ((axes < training.min(0)) | (axes > training.max(0))).mean(0)
