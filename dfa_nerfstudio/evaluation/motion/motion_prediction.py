"""Errors of predicted head motion, given the beginning of pose and the audio."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.blending import blend_onset
from dfa_nerfstudio.attributes.motion_sequences import MotionSequences
from dfa_nerfstudio.attributes.motion_space import MotionSpace
from dfa_nerfstudio.attributes.pretrained_models import PretrainedModels
from dfa_nerfstudio.evaluation.motion.pose_axes import ANGLES, POSITIONS, PoseAxes, pose_axes

Curve = Float[np.ndarray, "H 2"]
"""D-Rot and D-Pos (`pose_error`) in percent, 1 to H frames after the beginning of pose."""


@dataclass
class MotionPredictionErrors:
    """D-Rot and D-Pos of predicted motion, means over the windows of a segment."""

    windows: int
    """Number of windows."""
    reconstruction: tuple[float, float]
    """Error of complete windows that the VAE (E_h and D) encodes and decodes, in percent."""
    last_pose: Curve
    """Error of the trivial prediction that holds the last pose of the beginning."""
    mean: Curve
    """Error of the decoded mean of z_ah."""
    sample: Curve
    """Error of one decoded sample of z_ah."""

    def hold_last_pose(self) -> MotionPredictionErrors:
        """Errors of the trivial baseline on the same windows, which predicts the last pose throughout."""
        return MotionPredictionErrors(self.windows, (0.0, 0.0), self.last_pose, self.last_pose, self.last_pose)


@torch.no_grad()
def motion_prediction_errors(
    models: PretrainedModels,
    space: MotionSpace,
    segment: MotionSequences,
    span: Float[np.ndarray, " 6"],
    horizon: int,
    hop: int = 1,
) -> MotionPredictionErrors:
    """Compares predicted head poses with the true ones.

    Args:
        models: motion models of one person or of many people.
        space: standardisation of `segment`.
        segment: held-out motion, longer than the beginning of pose plus the horizon.
        span: the person's `pose_range` in the whole clip.
        horizon: H, in frames; may be longer than the models' window.
        hop: frames from one window to the next.
    """
    config = models.config.cross_modal
    true, audio = segment.windows(config.bop + horizon, hop)  # [N, T, C], [N, T, A]
    start = true[:, : config.bop]

    def axes(values: Float[Tensor, "N T C"]) -> PoseAxes:
        return pose_axes(space.decode(values.flatten(0, 1))[0].numpy(force=True))

    def errors(predicted: Float[Tensor, "N T C"], target: Float[Tensor, "N T C"]) -> Curve:
        gap = axes(predicted) - axes(target)
        gap[:, ANGLES] = (gap[:, ANGLES] + 180) % 360 - 180
        percent = (100 * np.abs(gap) / span).reshape(*predicted.shape[:2], 6).mean(0)  # [T, 6]
        return np.stack([percent[:, ANGLES].mean(1), percent[:, POSITIONS].mean(1)], 1)

    z_ah = models.cross_modal(audio, start, models.vae)
    generator = torch.Generator().manual_seed(0)
    last_pose = start[:, -1:].expand_as(true)
    mean, sample = (
        blend_onset(models.vae.decode(latent), start, config.velocity_decay, config.position_decay)
        for latent in (z_ah.mean, z_ah.sample(generator=generator))
    )
    reconstruction = errors(models.vae.decode(models.vae.encode(true).mean), true).mean(0)
    curves = (errors(motion[:, config.bop :], true[:, config.bop :]) for motion in (last_pose, mean, sample))
    return MotionPredictionErrors(len(true), (float(reconstruction[0]), float(reconstruction[1])), *curves)
