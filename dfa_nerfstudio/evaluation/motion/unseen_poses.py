"""Fraction of time that a head spends in poses unlike any of those seen in training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from dfa_nerfstudio.evaluation.motion.pose_axes import PoseAxes
from dfa_nerfstudio.media.rates import FRAME_RATE

MAX_POSES = 1500
"""Maximum number of training poses that are compared with each other."""
OTHER_MOMENT = round(2 * FRAME_RATE)
"""Frames between two moments from which on their poses count as independent: two seconds."""
REFERENCE_QUANTILE = 0.95
"""Part of the training poses that are not called unseen, when each is compared with those of other moments."""


@dataclass
class SeenPoses:
    """Poses of the training frames, each axis in units of its standard deviation.

    Each axis can be within its range while their combination never occurs in training; there the renderer
    extrapolates too.
    """

    scale: Float[np.ndarray, " 6"]
    """Standard deviation of each axis."""
    poses: KDTree
    reference_distance: float
    """Distance to the nearest pose of another moment that `REFERENCE_QUANTILE` of the training poses have at most; NaN
    if the video is too short to have other moments."""

    @classmethod
    def from_training(cls, training: PoseAxes) -> SeenPoses:
        """Measures how far the training poses are from those of other moments."""
        scale = np.maximum(training.std(0), 1e-6)
        frames = np.arange(0, len(training), -(-len(training) // MAX_POSES))
        poses = training[frames] / scale
        distance = cdist(poses, poses)
        distance[np.abs(frames[:, None] - frames) < OTHER_MOMENT] = np.inf
        nearest = distance.min(1)
        reference = np.quantile(nearest, REFERENCE_QUANTILE) if np.isfinite(nearest).all() else np.nan
        return cls(scale, KDTree(poses), float(reference))

    def unseen_fraction(self, axes: PoseAxes) -> float:
        """Fraction of frames that are farther from all training poses than these are from each other.

        The training frames themselves have 0.05, when each is compared with those of other moments. NaN if the training
        frames are too few.
        """
        distance = self.poses.query(axes / self.scale)[0]
        return float((distance > self.reference_distance).mean()) if self.reference_distance >= 0 else float("nan")
