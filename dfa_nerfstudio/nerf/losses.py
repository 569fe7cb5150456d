"""Training losses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from dfa_nerfstudio.nerf.processes import add_up


@dataclass
class LossConfig:
    """Weights of the losses."""

    robust: float = 0.02
    """Error of a colour, 0 to 1, above which the photometric loss grows linearly instead of quadratically
    (pseudo-Huber); 0 is Eq. 11's squared error throughout. A squared error averages over what the conditions do not
    decide, such as teeth, which makes mouths pale and half open."""
    mask: float = 0.01
    """Weight of the squared difference between opacity and person mask. It leaves what is not the person to the
    background model, so that this space can be skipped."""
    gate_penalty: float = 1e-3
    """Initial weight of the gate penalties: mouth gate outside the lower face, eye gate outside the eyes."""
    gate_target: float = 0.1
    """Mean gate outside its region that the penalties' weights adapt to: a weight rises while the mean is above it and
    falls while the mean is below it."""


def photometric(
    rendered: Float[Tensor, "R 3"], truth: Float[Tensor, "R 3"], weight: Float[Tensor, " R"], robust: float = 0.0
) -> Float[Tensor, ""]:
    """Eq. 11 as a weighted mean over rays; squared errors, or pseudo-Huber ones.

    Args:
        rendered: colours of the rays, 0 to 1.
        truth: true colours, 0 to 1.
        weight: corrects for the uneven sampling of pixels.
        robust: see `LossConfig.robust`.
    """
    error = (rendered - truth).square()
    if robust:
        error = 2 * robust**2 * ((1 + error / robust**2).sqrt() - 1)
    return (weight[:, None] * error).mean()


class GatePenalty(nn.Module):
    """Penalises mouth and eye gates that are open outside their regions, with adaptive weights.

    The weights adapt because no constant fits every person: with a small weight the whole head moves with the lips,
    with a large one the lips stay closed.
    """

    weight: Tensor  # [2]

    def __init__(self, config: LossConfig) -> None:
        super().__init__()
        self.target = config.gate_target
        self.register_buffer("weight", torch.full((2,), config.gate_penalty))

    def forward(self, gates: Float[Tensor, "R 2"], gate_mask: Bool[Tensor, "R 2"]) -> Float[Tensor, ""]:
        """Returns the weighted mean of each gate outside its region, summed over the gates.

        Args:
            gates: mouth and eye gate rendered along rays, 0 to 1.
            gate_mask: whether a ray's pixel lies in the lower face, in the eyes.
        """
        outside = (~gate_mask).float()
        total, count = (gates * outside).sum(0), outside.sum(0)
        if self.training:
            both = torch.stack([total.detach(), count])
            add_up(both)
            mean = both[0] / both[1].clamp(min=1)
            self.weight.mul_(torch.where(mean > self.target, 1.005, 1 / 1.005)).clamp_(1e-5, 1.0)
        return (self.weight * total / count.clamp(min=1)).sum()
