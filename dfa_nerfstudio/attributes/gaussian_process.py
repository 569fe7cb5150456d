"""Gaussian processes over time for the latent channels: prior, posterior, and the KL divergence between them.

All computations use whitened coordinates of the prior. With the Cholesky factor L of the prior covariance, K_p = L L^T,
a latent sequence is z = L u, and the prior of u is white noise. A posterior is

    z = mu + L B^-1 epsilon,    K = L (B^T B)^-1 L^T,

with B upper triangular, banded and of positive diagonal. This is a full temporal covariance, positive definite by
construction, that needs few predicted numbers and one triangular solve per sample. With B = 1 it is the prior.

The band is applied to u and not to z, because a banded precision of z is a Markov chain with rough samples, which only
a delicate cancellation within the band makes smooth. Here every sample is as smooth as the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


def cauchy_kernel(
    length: int, scales: Float[Tensor, " Z"], *, variance: float = 1.0, nugget: float = 1e-3
) -> Float[Tensor, "Z T T"]:
    """Computes K(t, t) of Eq. 7 with the Cauchy kernel, variance / (1 + (t - t')^2 / l^2), with t in frames.

    Args:
        length: number of frames T.
        scales: length scale l of each channel, in frames.
        variance: value on the diagonal.
        nugget: share of the variance that is white noise. Without it, K is singular to working precision where l is
            many frames.
    """
    time = torch.arange(length, device=scales.device, dtype=scales.dtype)
    square = (time[:, None] - time).square() / scales[:, None, None].square()
    identity = torch.eye(length, device=scales.device, dtype=scales.dtype)
    return variance * ((1 - nugget) / (1 + square) + nugget * identity)


@dataclass
class BandedGaussian:
    """N(mu, L (B^T B)^-1 L^T) over T frames, independently for each of Z channels and each of N sequences."""

    mean: Float[Tensor, "N Z T"]
    """mu."""
    factor: Float[Tensor, "N Z T T"]
    """B, the banded factor of the precision in whitened coordinates."""
    cholesky: Float[Tensor, "Z T T"]
    """L, the Cholesky factor of the prior covariance."""

    def sample(self, temperature: float = 1.0, generator: torch.Generator | None = None) -> Float[Tensor, "N Z T"]:
        """Draws mu + temperature L B^-1 epsilon, reparameterised, i.e. differentiable in mu and B."""
        device = generator.device if generator is not None else self.mean.device
        noise = torch.randn(self.mean.shape, generator=generator, device=device).to(self.mean)[..., None]
        white = torch.linalg.solve_triangular(self.factor, noise, upper=True)  # [N, Z, T, 1]
        return self.mean + temperature * (self.cholesky @ white)[..., 0]

    def samples(
        self, count: int, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Float[Tensor, "M Z T"]:
        """Draws `count` samples of the only sequence (N = 1)."""
        mean, factor = (x.expand(count, *x.shape[1:]) for x in (self.mean, self.factor))
        return BandedGaussian(mean, factor, self.cholesky).sample(temperature, generator)

    def covariance(self) -> Float[Tensor, "N Z T T"]:
        """Computes K."""
        half = self.cholesky @ self._inverse_factor()
        return half @ half.mT

    def kl_to_prior(self) -> Float[Tensor, "N Z"]:
        """Computes KL(q || p) from this posterior q to the prior p = N(0, L L^T) in closed form, in nats per channel.

        Eq. 8 writes KL(p, q), prior first; the evidence lower bound has the posterior first, and so has this.
        """
        trace = self._inverse_factor().square().sum((-1, -2))
        return 0.5 * (trace + self._whiten(self.mean).square().sum(-1) - self.mean.shape[-1]) + self._log_diagonal()

    def _inverse_factor(self) -> Float[Tensor, "N Z T T"]:
        identity = torch.eye(self.factor.shape[-1], device=self.factor.device, dtype=self.factor.dtype)
        return torch.linalg.solve_triangular(self.factor, identity.expand_as(self.factor), upper=True)

    def _log_diagonal(self) -> Float[Tensor, "N Z"]:
        return self.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def _whiten(self, values: Float[Tensor, "N Z T"]) -> Float[Tensor, "N Z T"]:
        """u = L^-1 z."""
        columns = values.permute(1, 2, 0)  # [Z, T, N]
        return torch.linalg.solve_triangular(self.cholesky, columns, upper=False).permute(2, 0, 1)


def banded_factor(bands: Float[Tensor, "N T Z K"]) -> Float[Tensor, "N Z T T"]:
    """Computes B from unconstrained outputs of a network.

    In each row, the sum of the elements above the diagonal is kept below nine tenths of the diagonal. B is invertible
    without that, but B^-1 epsilon is a recursion over time, which could grow exponentially.

    Args:
        bands: for each frame and channel, the logarithm of the diagonal of B, then K - 1 diagonals above it, relative
            to the diagonal and before they are bounded. Zeros give B = 1, the prior.
    """
    rows = bands.permute(0, 2, 3, 1)  # [N, Z, K, T]
    length, count = rows.shape[-1], rows.shape[2]
    diagonal = rows[:, :, 0].clamp(-4, 6).exp()
    factor = torch.diag_embed(diagonal)
    for k in range(1, min(count, length)):
        above = diagonal * (0.9 / (count - 1)) * torch.tanh(rows[:, :, k])
        factor = factor + torch.diag_embed(above[:, :, : length - k], offset=k)
    return factor
