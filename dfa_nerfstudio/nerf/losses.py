"""What training minimises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn


@dataclass
class LossConfig:
    """Weights of the losses."""

    photometric: Literal["l2", "l1", "huber"] = "l2"
    """`l2` is Eq. 11."""
    mask: float = 0.01
    """Holds the opacity to the person's mask: what is not the person is left to the background, however the field could
    paint it, and can be skipped."""
    entropy: float = 0.0
    """Makes a ray all person or all background."""
    influence: float = 1e-3
    """At first, for each: keeps the audio's gate shut outside the lower face, the eyes' gate outside the eyes."""
    influence_target: float = 0.1
    """The gates' mean out there that these weights adapt to: they rise while it is above and fall while it is below."""


def photometric(
    kind: Literal["l2", "l1", "huber"], picture: Float[Tensor, "R 3"], truth: Float[Tensor, "R 3"], weight: Tensor
) -> Float[Tensor, ""]:
    """Eq. 11 as a mean over rays, or a sibling of it; `weight` [R] undoes the uneven drawing of pixels."""
    error = {"l2": F.mse_loss, "l1": F.l1_loss, "huber": F.smooth_l1_loss}[kind](picture, truth, reduction="none")
    return (weight[:, None] * error).mean()


def opacity_entropy(opacity: Float[Tensor, "R 1"]) -> Float[Tensor, ""]:
    """Mean entropy in nats of rays being person or background."""
    sure = opacity.clamp(1e-4, 1 - 1e-4)
    return -(sure * sure.log() + (1 - sure) * (1 - sure).log()).mean()


class InfluencePenalty(nn.Module):
    """How far the gates of audio and eyes are open where they have no business.

    The weight of each adapts: too weak, and the whole head trembles with the voice; too strong, and the lips stay shut.
    """

    weight: Tensor  # [2]

    def __init__(self, config: LossConfig) -> None:
        super().__init__()
        self.target = config.influence_target
        self.register_buffer("weight", torch.full((2,), config.influence))

    def forward(self, gates: Float[Tensor, "R 2"], allowed: Bool[Tensor, "R 2"]) -> Float[Tensor, ""]:
        """
        Args:
            gates: as seen along rays, 0 to 1.
            allowed: whether a ray is of the lower face, of the eyes.
        """
        outside = (~allowed).float()
        mean = (gates * outside).sum(0) / outside.sum(0).clamp(min=1)
        if self.training:
            self.weight.mul_(torch.where(mean.detach() > self.target, 1.005, 1 / 1.005)).clamp_(1e-5, 1.0)
        return (self.weight * mean).sum()
