"""Restores the distribution of the lip gap, so that lips close at m, p and b and open as wide as the person's do."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

NUM_QUANTILES = 41
"""Number of quantiles that the two distributions are compared at, 2.5 % apart."""
MAX_SLOPE = 4.0
"""Largest slope of the map, so that noise of a prediction is not amplified without limit."""


class GapRestoration(nn.Module):
    """Maps predicted gaps to true ones of the same quantile, and moves the lips accordingly.

    The gap is not normally distributed: lips touch in a tenth to a fifth of the frames of speech. A prediction of the
    right variance still hovers above that. The map is monotone, so it changes no order in time.
    """

    predicted: Tensor
    """Quantiles of the gap of cross-fitted predictions in voiced training frames [Q], in head space units."""
    true: Tensor
    """The same quantiles of the true gap [Q]."""
    direction: Tensor
    """Mean change of the lip components with the gap in training frames [K], scaled to a gap of 1."""

    def __init__(self, num_components: int) -> None:
        super().__init__()
        for name in ("predicted", "true"):
            self.register_buffer(name, torch.linspace(-1, 1, NUM_QUANTILES))
        self.register_buffer("direction", torch.zeros(num_components))

    def fit(
        self,
        lips: Float[Tensor, "N K"],
        predicted_gap: Float[Tensor, " N"],
        true_gap: Float[Tensor, " N"],
        gap_slope: Float[Tensor, " K"],
    ) -> None:
        """Sets both distributions.

        Args:
            lips: true lip components of the voiced training frames.
            predicted_gap: gap of their cross-fitted predictions, with restored variance.
            true_gap: their true gap.
            gap_slope: see `LipSpace.gap_slope`.
        """
        levels = torch.linspace(0, 1, NUM_QUANTILES).to(lips)
        self.predicted, self.true = predicted_gap.quantile(levels), true_gap.quantile(levels)
        steps = self.predicted.diff().clamp(min=1e-9)
        rise = torch.minimum(self.true.diff(), MAX_SLOPE * steps)
        middle = NUM_QUANTILES // 2
        mapped = torch.cat([torch.zeros(1).to(rise), rise.cumsum(0)])
        self.true = mapped - mapped[middle] + self.true[middle]
        centred = lips - lips.mean(0)
        direction = centred.T @ (true_gap - true_gap.mean())
        self.direction = direction / (direction @ gap_slope)

    def forward(self, lips: Float[Tensor, "T K"], gap: Float[Tensor, " T"]) -> Float[Tensor, "T K"]:
        """Moves lips of a predicted gap to the gap of the same quantile; beyond the ends the end's shift applies."""
        inside = gap.clamp(self.predicted[0], self.predicted[-1])
        upper = torch.searchsorted(self.predicted, inside.contiguous()).clamp(1, NUM_QUANTILES - 1)
        start, stop = self.predicted[upper - 1], self.predicted[upper]
        share = ((inside - start) / (stop - start).clamp(min=1e-9)).clamp(0, 1)
        mapped = torch.lerp(self.true[upper - 1], self.true[upper], share)
        return lips + (mapped - inside)[:, None] * self.direction
