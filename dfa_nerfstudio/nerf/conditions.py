"""What the field is told about a moment: the paper's f_c = [f_a : f_e], the head pose, and the torso's motion."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dfa_nerfstudio.data.attribute_track import AttributeTrack


@dataclass
class Conditions:
    """Standardised conditions of U frames."""

    audio: Float[Tensor, "U A"]
    eye: Float[Tensor, "U E"]
    pose: Float[Tensor, "U 12"]
    """Rotation matrix and translation of the head; stands in the place of the view direction (section 3.5)."""
    torso: Float[Tensor, "U 4"]
    appearance: Float[Tensor, "U C"]
    """What else is peculiar to a frame: light, or a screen behind the person."""


@dataclass
class ConditionsConfig:
    """How attributes are handed to the network."""

    limit: float = 2.0
    """Standard deviations from the training mean beyond which head pose and torso motion are drawn back: rare postures
    then ask for the nearest look that is well known. Sound and eyes keep the whole range of the training frames, for
    most of the time eyes are open, and a blink is far from their mean."""
    noise: float = 0.0
    """Standard deviations of noise on them while training."""
    eyes: bool = True
    """Whether the field is told f_e. Without it (Fig. 7, and AD-NeRF) lids do what the sound lets expect."""


class ConditionNormaliser(nn.Module):
    """Shifts and scales a track's attributes to zero mean and unit variance over the training frames."""

    mean: Tensor
    scale: Tensor
    lower: Tensor
    upper: Tensor

    def __init__(self, config: ConditionsConfig, train: AttributeTrack) -> None:
        super().__init__()
        self.config = config
        values = self._stack(train)
        self.sizes = [train.audio.shape[-1], train.eye.shape[-1], 12, 4]
        limits = [torch.inf, torch.inf, config.limit, config.limit]
        deviation = []
        for part in values.split(self.sizes, dim=-1):
            spread = part.std(0, correction=0)
            # Directions that hardly vary are noise: they are not blown up to unit variance.
            deviation.append(spread.clamp(min=0.3 * spread.square().mean().sqrt().item() + 1e-6))
        self.register_buffer("mean", values.mean(0))
        self.register_buffer("scale", torch.cat(deviation))
        values = (values - self.mean) / self.scale
        limit = torch.tensor(limits).repeat_interleave(torch.tensor(self.sizes))
        self.register_buffer("lower", torch.maximum(values.amin(0), -limit))
        self.register_buffer("upper", torch.minimum(values.amax(0), limit))

    @staticmethod
    def _stack(track: AttributeTrack) -> Float[Tensor, "U C"]:
        pose = track.head_to_camera[:, :3]
        return torch.cat([track.audio, track.eye, pose[:, :, :3].flatten(1), pose[:, :, 3], track.torso_motion], dim=-1)

    def forward(self, track: AttributeTrack, appearance: Float[Tensor, "U C"]) -> Conditions:
        values = (self._stack(track) - self.mean) / self.scale
        if self.training and self.config.noise:
            values = values + self.config.noise * torch.randn_like(values)
        audio, eye, pose, torso = values.clamp(self.lower, self.upper).split(self.sizes, dim=-1)
        return Conditions(audio, eye if self.config.eyes else torch.zeros_like(eye), pose, torso, appearance)

    def audio_of(self, standardised: Float[Tensor, "*U A"]) -> Float[Tensor, "*U A"]:
        """Audio features as a track has them."""
        part = slice(self.sizes[0])
        return self.mean[part] + self.scale[part] * standardised.clamp(self.lower[part], self.upper[part])
