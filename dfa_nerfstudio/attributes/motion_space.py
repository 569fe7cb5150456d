"""Attribute sequences h for the motion models: head pose, torso motion and eye embedding as one vector a frame."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

HEAD, TORSO = slice(0, 6), slice(6, 10)
EYE_START = 10
"""Channels of h: rotation vector about the mean pose, translation; torso motion; then f_e."""


def rotation_vector(rotation: Float[Tensor, "T 3 3"]) -> Float[Tensor, "T 3"]:
    """Axis times angle in radians, for angles below pi."""
    axis = torch.stack(
        [
            rotation[:, 2, 1] - rotation[:, 1, 2],
            rotation[:, 0, 2] - rotation[:, 2, 0],
            rotation[:, 1, 0] - rotation[:, 0, 1],
        ],
        -1,
    )  # 2 sin(angle) times the unit axis
    sine = axis.norm(dim=-1) / 2
    cosine = (rotation.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    angle = torch.atan2(sine, cosine)
    factor = torch.where(sine > 1e-6, angle / (2 * sine).clamp(min=1e-6), torch.full_like(angle, 0.5))
    return axis * factor[:, None]


def rotation_matrix(vector: Float[Tensor, "T 3"]) -> Float[Tensor, "T 3 3"]:
    """The rotation of a rotation vector."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    return torch.linalg.matrix_exp(cross)


class MotionSpace(nn.Module):
    """Between attributes and the standardised vectors h the motion models work on.

    Head rotation is a rotation vector about the person's mean pose: continuous, since a talking head turns by much
    less than half a turn. Each channel is standardised over the training frames; f_e as one block, so that directions
    in which it hardly varies are not blown up.
    """

    mean_rotation: Tensor
    mean: Tensor
    scale: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, eye_dim: int) -> None:
        super().__init__()
        self.dim = EYE_START + eye_dim
        self.register_buffer("mean_rotation", torch.eye(3))
        for name, value in (("mean", 0.0), ("scale", 1.0), ("low", -3.0), ("high", 3.0)):
            self.register_buffer(name, torch.full((self.dim,), value))

    def learn(
        self,
        pose: Float[Tensor, "T 4 4"],
        torso: Float[Tensor, "T 4"],
        eye: Float[Tensor, "T E"],
        scale: Float[Tensor, " C"] | None = None,
    ) -> Float[Tensor, "T C"]:
        """Takes mean, scale (unless one is given) and range from training frames and returns their h."""
        u, _, vh = torch.linalg.svd(pose[:, :3, :3].double().mean(0))
        self.mean_rotation = (u @ torch.diag(torch.tensor([1.0, 1.0, float(torch.det(u @ vh))]).to(u)) @ vh).float()
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
        """h of attributes."""
        turn = rotation_vector(pose[:, :3, :3] @ self.mean_rotation.T)
        return (torch.cat([turn, pose[:, :3, 3], torso, eye], -1) - self.mean) / self.scale

    def decode(
        self, values: Float[Tensor, "T C"]
    ) -> tuple[Float[Tensor, "T 4 4"], Float[Tensor, "T 4"], Float[Tensor, "T E"]]:
        """Head pose, torso motion and f_e of h."""
        raw = values * self.scale + self.mean
        pose = torch.eye(4).to(raw).repeat(len(raw), 1, 1)
        pose[:, :3, :3] = rotation_matrix(raw[:, :3]) @ self.mean_rotation
        pose[:, :3, 3] = raw[:, 3:6]
        return pose, raw[:, TORSO], raw[:, EYE_START:]

    def bound(self, values: Float[Tensor, "T C"], margin: float = 0.15) -> Float[Tensor, "T C"]:
        """Keeps h softly within the training range.

        Values up to the range's ends are left alone; beyond, they approach the end plus `margin` times the half range.
        Monotone with a continuous derivative, so that no kink appears.
        """
        room = margin * (self.high - self.low) / 2 + 1e-6
        above = (values - self.high).clamp(min=0)
        below = (self.low - values).clamp(min=0)
        inside = torch.minimum(torch.maximum(values, self.low), self.high)
        return inside + room * torch.tanh(above / room) - room * torch.tanh(below / room)
