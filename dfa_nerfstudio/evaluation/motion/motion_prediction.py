"""Errors of predicted head motion, given the beginning of pose and the audio."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.motion_sequences import MotionSequences
from dfa_nerfstudio.attributes.motion_space import MotionSpace
from dfa_nerfstudio.evaluation.motion.pose_axes import ANGLES, POSITIONS, PoseAxes, pose_axes
from dfa_nerfstudio.evaluation.systems.motion.motion_model import MotionModel

Curve = Float[np.ndarray, "H 2"]
"""D-Rot and D-Pos (`pose_error`) in percent, 1 to H frames after the beginning of pose."""


@dataclass
class MotionPredictionErrors:
    """D-Rot and D-Pos of predicted motion, means over the windows of a segment."""

    windows: int
    """Number of windows."""
    last_pose: Curve
    """Error of the trivial prediction that holds the last pose of the beginning."""
    mean: Curve
    """Error of the mean prediction."""
    sample: Curve
    """Error of one sample."""

    def hold_last_pose(self) -> MotionPredictionErrors:
        """Errors of the trivial baseline on the same windows, which predicts the last pose throughout."""
        return MotionPredictionErrors(self.windows, self.last_pose, self.last_pose, self.last_pose)


@torch.no_grad()
def motion_prediction_errors(
    model: MotionModel,
    space: MotionSpace,
    segment: MotionSequences,
    span: Float[np.ndarray, " 6"],
    horizon: int,
    hop: int = 1,
) -> MotionPredictionErrors:
    """Compares predicted head poses with the true ones.

    Args:
        model: motion model of one person or of many people.
        space: standardisation of `segment`.
        segment: held-out motion, longer than the beginning of pose plus the horizon.
        span: the person's `pose_range` in the whole clip.
        horizon: H, in frames; may be longer than the model's window.
        hop: frames from one window to the next.
    """
    tau = model.bop
    true, audio = segment.windows(tau + horizon, hop)  # [N, T, C], [N, T, A]
    start = true[:, :tau]
    predictions = (
        start[:, -1:].expand_as(true),
        model.generate(audio, start),
        model.generate(audio, start, torch.Generator().manual_seed(0)),
    )
    curves = (pose_error_curve(space, motion[:, tau:], true[:, tau:], span) for motion in predictions)
    return MotionPredictionErrors(len(true), *curves)


def pose_error_curve(
    space: MotionSpace,
    predicted: Float[Tensor, "N T C"],
    target: Float[Tensor, "N T C"],
    span: Float[np.ndarray, " 6"],
) -> Curve:
    """D-Rot and D-Pos in percent at each frame, means over windows."""

    def axes(values: Float[Tensor, "N T C"]) -> PoseAxes:
        return pose_axes(space.decode(values.flatten(0, 1))[0].numpy(force=True))

    gap = axes(predicted) - axes(target)
    gap[:, ANGLES] = (gap[:, ANGLES] + 180) % 360 - 180
    percent = (100 * np.abs(gap) / span).reshape(*predicted.shape[:2], 6).mean(0)  # [T, 6]
    return np.stack([percent[:, ANGLES].mean(1), percent[:, POSITIONS].mean(1)], 1)
