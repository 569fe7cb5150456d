"""Conditions of the field per frame: f_c = [f_m : f_e], the head pose, and the torso motion.

The paper's f_c = [f_a : f_e] is an option (`dfa-data --mouth f_a`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dfa_nerfstudio.data.attribute_track import AttributeTrack


@dataclass
class Conditions:
    """Standardised conditions of U frames."""

    mouth: Float[Tensor, "U M"]
    """Lips f_m, or f_a or another audio feature in their place."""
    eye: Float[Tensor, "U E"]
    """Eye embedding f_e."""
    pose: Float[Tensor, "U 12"]
    """Rotation matrix and translation of the head, in the place of NeRF's view direction (section 3.5)."""
    torso: Float[Tensor, "U 4"]
    """Torso motion, as `ClipAttributes.torso_motion`."""


@dataclass
class ConditionsConfig:
    """How attributes become conditions."""

    pose_limit: float = 2.0
    """Standard deviations from the training mean to which head pose and torso motion are clamped, to avoid
    extrapolation. Audio and eyes keep the whole range of the training frames, because eyes are open most of the time
    and a blink is far from their mean."""
    eyes: bool = True
    """Whether the field is conditioned on f_e. Without it (Fig. 7, and AD-NeRF) the eyelids depend on the mouth's
    condition."""


class ConditionNormalizer(nn.Module):
    """Shifts and scales a track's attributes to zero mean and unit variance over the training frames."""

    mean: Tensor
    scale: Tensor
    lower: Tensor
    upper: Tensor

    def __init__(self, config: ConditionsConfig, train: AttributeTrack) -> None:
        super().__init__()
        self.config = config
        values = self._stack(train)
        self.sizes = [train.mouth.shape[-1], train.eye.shape[-1], 12, 4]
        limits = [torch.inf, torch.inf, config.pose_limit, config.pose_limit]
        scales = []
        for part in values.split(self.sizes, dim=-1):
            deviation = part.std(0, correction=0)
            # Dimensions that hardly vary are noise: they are not scaled up to unit variance.
            scales.append(deviation.clamp(min=0.3 * deviation.square().mean().sqrt().item() + 1e-6))
        self.register_buffer("mean", values.mean(0))
        self.register_buffer("scale", torch.cat(scales))
        values = (values - self.mean) / self.scale
        limit = torch.tensor(limits).repeat_interleave(torch.tensor(self.sizes))
        self.register_buffer("lower", torch.maximum(values.amin(0), -limit))
        self.register_buffer("upper", torch.minimum(values.amax(0), limit))

    @staticmethod
    def _stack(track: AttributeTrack) -> Float[Tensor, "U C"]:
        pose = track.head_to_camera[:, :3]
        return torch.cat([track.mouth, track.eye, pose[:, :, :3].flatten(1), pose[:, :, 3], track.torso_motion], dim=-1)

    def forward(self, track: AttributeTrack) -> Conditions:
        """Returns the conditions of a track's U frames, clamped to the range of the training frames."""
        values = (self._stack(track) - self.mean) / self.scale
        mouth, eye, pose, torso = values.clamp(self.lower, self.upper).split(self.sizes, dim=-1)
        return Conditions(mouth, eye if self.config.eyes else torch.zeros_like(eye), pose, torso)

    def unnormalize_mouth(self, standardised: Float[Tensor, "*U M"]) -> Float[Tensor, "*U M"]:
        """Returns mouth conditions in the units of `AttributeTrack.mouth`."""
        part = slice(self.sizes[0])
        return self.mean[part] + self.scale[part] * standardised.clamp(self.lower[part], self.upper[part])
