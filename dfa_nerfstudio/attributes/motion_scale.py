"""Scales the predictive spread of motion by recent motion energy."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

MAX_LOG_RATIO = 1.5
"""Limit of the logarithm of motion energy relative to its reference; beyond, the spread does not change further."""


class AdaptiveMotionScale(nn.Module):
    """Predictive spread of each latent channel: reference spread * (motion energy / reference energy)^exponent.

    Motion energy is the root mean square frame-to-frame change over the beginning of pose. Calm heads stay calm: the
    exponent is about two thirds between people, and a third between the segments of one video.
    """

    spread: Tensor
    """Spread at the reference energy [Z], relative to the Gaussian process."""
    exponent: Tensor
    """Exponent of the relative motion energy [Z], 0 to 1."""
    reference: Tensor
    """Mean logarithm of the motion energy [Z]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("spread", torch.ones(channels))
        self.register_buffer("exponent", torch.zeros(channels))
        self.register_buffer("reference", torch.zeros(channels))

    def forward(self, beginning: Float[Tensor, "N Z tau"]) -> Float[Tensor, "N Z"]:
        """Computes the spread that follows a beginning of pose."""
        return self.spread * torch.exp(self.exponent * self._log_energy_ratio(beginning))

    @torch.no_grad()
    def fit(
        self,
        beginning: Float[Tensor, "N Z tau"],
        residuals: Float[Tensor, "N Z T"],
        cholesky: Float[Tensor, "Z T S"],
    ) -> None:
        """Fits the exponents by least squares of logarithms, then the reference spread to the mean square.

        Args:
            beginning: latent beginnings of pose.
            residuals: differences of what followed from the prediction.
            cholesky: samples of the Gaussian process over these frames are cholesky @ noise; they have spread 1.
                Spreads are compared by velocities, because the next window measures motion energy by velocities.
        """
        self.reference = torch.zeros_like(self.reference)
        self.reference = self._log_energy_ratio(beginning, limit=torch.inf).mean(0)
        variance = residuals.diff(dim=-1).square().mean(-1) / cholesky.diff(dim=1).square().sum(-1).mean(1)  # [N, Z]
        ratio, log_spread = self._log_energy_ratio(beginning), variance.clamp(min=1e-12).log() / 2
        centred = ratio - ratio.mean(0)
        self.exponent = ((centred * log_spread).sum(0) / centred.square().sum(0).clamp(min=1e-6)).clamp(0, 1)
        self.spread = (variance / torch.exp(2 * self.exponent * ratio)).mean(0).sqrt()

    def _log_energy_ratio(self, beginning: Float[Tensor, "N Z tau"], limit: float = MAX_LOG_RATIO) -> Tensor:
        """Logarithm of motion energy relative to its reference [N, Z], limited to +-`limit`."""
        energy = beginning.diff(dim=-1).square().mean(-1).clamp(min=1e-10)
        return (energy.log() / 2 - self.reference).clamp(-limit, limit)
