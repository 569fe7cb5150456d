"""Converts head pose, torso motion and eye embedding to the vectors h of the motion models, one per frame."""

from __future__ import annotations

import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation
from torch import Tensor, nn

TORSO_START, EYE_START = 6, 10
"""First channels of torso motion and of f_e in h. The rotation vector relative to the mean pose and the translation
come before."""


def rotation_vector(rotation: Float[Tensor, "T 3 3"]) -> Float[Tensor, "T 3"]:
    """Computes axis times angle in radians, for angles below pi."""
    return torch.from_numpy(Rotation.from_matrix(rotation.numpy(force=True)).as_rotvec()).to(rotation)


def rotation_matrix(vector: Float[Tensor, "T 3"]) -> Float[Tensor, "T 3 3"]:
    """Computes the rotation matrices of rotation vectors in radians."""
    return torch.from_numpy(Rotation.from_rotvec(vector.numpy(force=True)).as_matrix()).to(vector)


class MotionSpace(nn.Module):
    """Conversion between attributes and the standardised vectors h of the motion models.

    Head rotation is a rotation vector relative to the person's mean pose, which is continuous because a talking head
    turns by much less than half a turn. Each channel is standardised over the training frames; f_e is standardised as
    one block, so that directions in which it hardly varies are not amplified.
    """

    mean_rotation: Tensor
    """Mean head rotation [3, 3]."""
    mean: Tensor
    """Mean of each channel over the training frames [C]."""
    scale: Tensor
    """Unit of each channel [C]."""
    low: Tensor
    """Smallest value of each standardised channel in the training frames [C]."""
    high: Tensor
    """Largest value of each standardised channel in the training frames [C]."""

    def __init__(self, eye_dim: int) -> None:
        super().__init__()
        self.dim = EYE_START + eye_dim
        self.register_buffer("mean_rotation", torch.eye(3))
        for name, value in (("mean", 0.0), ("scale", 1.0), ("low", -3.0), ("high", 3.0)):
            self.register_buffer(name, torch.full((self.dim,), value))

    def fit(
        self,
        pose: Float[Tensor, "T 4 4"],
        torso: Float[Tensor, "T 4"],
        eye: Float[Tensor, "T E"],
        scale: Float[Tensor, " C"] | None = None,
    ) -> Float[Tensor, "T C"]:
        """Sets mean, scale (unless one is given) and range from training frames, and returns their h."""
        mean_rotation = Rotation.from_matrix(pose[:, :3, :3].numpy(force=True)).mean()
        self.mean_rotation = torch.from_numpy(mean_rotation.as_matrix()).to(self.mean_rotation)
        self.mean.zero_()
        self.scale.fill_(1.0)
        raw = self.encode(pose, torso, eye)
        self.mean = raw.mean(0)
        if scale is None:
            scale = raw.std(0)
            scale[EYE_START:] = scale[EYE_START:].square().mean().sqrt()
        self.scale = scale.clamp(min=1e-6)
        values = self.encode(pose, torso, eye)
        self.low, self.high = values.amin(0), values.amax(0)
        return values

    def encode(
        self, pose: Float[Tensor, "T 4 4"], torso: Float[Tensor, "T 4"], eye: Float[Tensor, "T E"]
    ) -> Float[Tensor, "T C"]:
        """Computes h of attributes."""
        rotation = rotation_vector(pose[:, :3, :3] @ self.mean_rotation.T)
        return (torch.cat([rotation, pose[:, :3, 3], torso, eye], -1) - self.mean) / self.scale

    def decode(
        self, values: Float[Tensor, "T C"]
    ) -> tuple[Float[Tensor, "T 4 4"], Float[Tensor, "T 4"], Float[Tensor, "T E"]]:
        """Computes head pose, torso motion and f_e of h."""
        raw = values * self.scale + self.mean
        pose = torch.eye(4).to(raw).repeat(len(raw), 1, 1)
        pose[:, :3, :3] = rotation_matrix(raw[:, :3]) @ self.mean_rotation
        pose[:, :3, 3] = raw[:, 3:TORSO_START]
        return pose, raw[:, TORSO_START:EYE_START], raw[:, EYE_START:]

    def bound(self, values: Float[Tensor, "T C"], margin: float = 0.15) -> Float[Tensor, "T C"]:
        """Limits h softly to the training range.

        Values within the range are unchanged; beyond its ends they approach the end plus `margin` times the half range.
        The function is monotone with a continuous derivative, so that motion has no kinks.
        """
        room = margin * (self.high - self.low) / 2 + 1e-6
        above = (values - self.high).clamp(min=0)
        below = (self.low - values).clamp(min=0)
        inside = torch.minimum(torch.maximum(values, self.low), self.high)
        return inside + room * torch.tanh(above / room) - room * torch.tanh(below / room)
