"""How well the models of motion tell what a head does next, from how it began and the sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.blending import joined
from dfa_nerfstudio.attributes.motion_sequences import MotionSequences
from dfa_nerfstudio.attributes.motion_space import MotionSpace
from dfa_nerfstudio.attributes.pretrained_models import GeneralModels
from dfa_nerfstudio.evaluation.motion.pose_axes import ANGLES, PLACES, PoseAxes, pose_axes

Curve = Float[np.ndarray, "H 2"]
"""D-Rot and D-Pos (`pose_error`) in percent, 1 to H frames after the beginning of pose."""


@dataclass
class Prediction:
    """Means over the windows of a stretch of film."""

    windows: int
    reconstruction: tuple[float, float]
    """D-Rot and D-Pos of what E_h and D make of a window that they see whole."""
    frozen: Curve
    """Of the last pose of the beginning, held."""
    mean: Curve
    """Of the mean of z_ah, decoded."""
    sample: Curve
    """Of a sample of z_ah, decoded."""

    def standing_still(self) -> Prediction:
        """The trivial baseline: of the same windows, with the last pose in the place of everything."""
        return Prediction(self.windows, (0.0, 0.0), self.frozen, self.frozen, self.frozen)


@torch.no_grad()
def prediction(
    models: GeneralModels,
    space: MotionSpace,
    whole: MotionSequences,
    span: Float[np.ndarray, " 6"],
    horizon: int,
    hop: int = 1,
) -> Prediction:
    """Compares predictions with what followed.

    Args:
        models: a person's or those of many people.
        space: what `whole` is standardised by.
        whole: frames that trained nothing, with a stretch longer than the beginning of pose and the horizon.
        span: the person's `pose_range` in the whole clip.
        horizon: H, in frames; longer than the models' window is fine.
        hop: frames from one window to the next.
    """
    config = models.config.cross_modal
    true, sound = whole.windows(config.bop + horizon, hop)  # [N, T, C], [N, T, A]
    start = true[:, : config.bop]

    def axes(values: Float[Tensor, "N T C"]) -> PoseAxes:
        return pose_axes(space.decode(values.flatten(0, 1))[0].numpy(force=True))

    def errors(made: Float[Tensor, "N T C"], right: Float[Tensor, "N T C"]) -> Curve:
        gap = axes(made) - axes(right)
        gap[:, ANGLES] = (gap[:, ANGLES] + 180) % 360 - 180
        percent = (100 * np.abs(gap) / span).reshape(*made.shape[:2], 6).mean(0)  # [T, 6]
        return np.stack([percent[:, ANGLES].mean(1), percent[:, PLACES].mean(1)], 1)

    guess = models.cross_modal(sound, start, models.vae)
    generator = torch.Generator().manual_seed(0)
    frozen = start[:, -1:].expand_as(true)
    mean, sample = (
        joined(models.vae.decode(latent), start, config.momentum, config.memory)
        for latent in (guess.mean, guess.sample(generator=generator))
    )
    seen = errors(models.vae.decode(models.vae.encode(true).mean), true).mean(0)
    curves = (errors(made[:, config.bop :], true[:, config.bop :]) for made in (frozen, mean, sample))
    return Prediction(len(true), (float(seen[0]), float(seen[1])), *curves)
