"""The Transformer GP-VAE, a latent space of head motion and blinks (section 3.4, Fig. 4a, Eqs. 4 to 8)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from dfa_nerfstudio.attributes.gaussian_process import BandedGaussian, banded_factor, cauchy_kernel
from dfa_nerfstudio.attributes.motion_space import EYE_START
from dfa_nerfstudio.attributes.objective import FitConfig
from dfa_nerfstudio.attributes.sequence_models import Architecture, sequence_model, sinusoidal_positions
from dfa_nerfstudio.attributes.slow_features import slow_features
from dfa_nerfstudio.errors import UserError


@dataclass
class GPVAEConfig:
    """Options of the latent space of motion."""

    architecture: Architecture = "transformer"
    """Architecture of encoders and decoder; the alternatives are for comparison (Table 4)."""
    prior: Literal["gaussian-process", "independent"] = "gaussian-process"
    """Prior of the latent space: Eq. 7, or independent frames, for comparison (Table 4)."""
    latent_dim: int = 16
    """Number of latent channels Z."""
    width: int = 64
    """Width of the tokens."""
    layers: int = 2
    """Number of layers of encoder and decoder each."""
    heads: int = 4
    """Number of attention heads."""
    dropout: float = 0.0
    """Dropout rate in all layers."""
    band: int = 2
    """Number of diagonals of B above the main one; none with the independent prior."""
    smoothing: float = 0.8
    """Standard deviation, in frames, of the Gaussian filter on the decoder's head and torso output, because heads
    cannot move abruptly.
    Eye channels are not filtered."""
    window: int = 64
    """Length of the longest training sequence in frames; training sequences have `window` / 2 to `window` frames."""
    shortest_scale: float = 2.5
    """Length scale of the fastest channel of the prior, in frames."""
    longest_scale: float = 60.0
    """Length scale of the slowest channel of the prior, in frames; the others form a geometric series between the
    two."""
    variance: float = 1.0
    """Variance of each channel in the prior."""
    bop_variance: float = 0.05
    """Variance of the noise that the prior assumes on a given beginning of motion (BOP, beginning of pose). Without it
    the prior would interpolate the beginning exactly and extrapolate its jitter."""
    kl_weight: float = 0.006
    """Weight of the KL divergence (Eq. 8) relative to the reconstruction error (Eq. 6), per frame and channel."""
    free_nats: float = 0.05
    """KL divergence in nats per frame and channel below which it is not penalised; keeps channels from collapsing."""
    shift_noise: float = 0.3
    """Standard deviation, in standardised units, of a random constant that is added to each channel of a training
    sequence, because a minute of video shows few poses and the model must handle others."""
    velocity_weight: float = 0.1
    """Weight of the error of frame-to-frame change in Eq. 6."""
    batch_size: int = 16
    """Sequences per step."""
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=400, learning_rate=2e-3))
    """Training options."""


def gaussian_smooth(values: Float[Tensor, "N T C"], sigma: float) -> Float[Tensor, "N T C"]:
    """Filters over time by a Gaussian of `sigma` frames; the ends are extended by their first and last value."""
    if sigma <= 0:
        return values
    reach = math.ceil(3 * sigma)
    time = torch.arange(-reach, reach + 1, device=values.device, dtype=values.dtype)
    kernel = torch.softmax(-0.5 * (time / sigma).square(), 0)
    padded = F.pad(values.transpose(1, 2), (reach, reach), mode="replicate")  # [N, C, T + 2 reach]
    return (padded.unfold(2, 2 * reach + 1, 1) @ kernel).transpose(1, 2)


class GaussianHead(nn.Module):
    """Output layer from a frame's token to the mean and the banded factor of each latent channel."""

    def __init__(self, config: GPVAEConfig) -> None:
        super().__init__()
        band = config.band if config.prior == "gaussian-process" else 0
        self.mean = nn.Linear(config.width, config.latent_dim)
        self.bands = nn.Linear(config.width, config.latent_dim * (band + 1))
        nn.init.zeros_(self.mean.weight)
        nn.init.zeros_(self.mean.bias)
        nn.init.normal_(self.bands.weight, std=1e-3)
        nn.init.zeros_(self.bands.bias)

    def forward(self, tokens: Float[Tensor, "N T W"]) -> tuple[Float[Tensor, "N Z T"], Float[Tensor, "N T Z K"]]:
        """Computes mu and the diagonals of B."""
        return self.mean(tokens).transpose(1, 2), self.bands(tokens).unflatten(-1, (self.mean.out_features, -1))


class TransformerGPVAE(nn.Module):
    """Encoder E_h from h to the posterior N(mu, K) of Eqs. 4 and 5, decoder D back, and prior N(0, K(t, t)) of Eq. 7.

    As in F_d, encoder and decoder have a linear skip layer, because a minute of video shows few poses, and the same
    motion must be encoded alike at a pose that it does not show. Training starts from a linear latent space
    (`initialize`).
    """

    scales: Tensor
    """Length scale of each latent channel in the prior [Z], in frames, ascending."""

    def __init__(self, config: GPVAEConfig, motion_dim: int) -> None:
        """
        Args:
            config: options.
            motion_dim: number of channels of h.

        Raises:
            UserError: if length scales, variance or the number of latent channels are out of range.
        """
        super().__init__()
        if not (0 < config.shortest_scale <= config.longest_scale and config.variance > 0):
            raise UserError(
                f"latent space: length scales of {config.shortest_scale:g} to {config.longest_scale:g} frames and a "
                f"variance of {config.variance:g}; they must be above 0, the shortest scale first"
            )
        if not 1 <= config.latent_dim <= motion_dim:
            raise UserError(f"latent space: {config.latent_dim} channels; must be 1 to {motion_dim}")
        self.config, self.motion_dim = config, motion_dim
        ratio = torch.linspace(0, 1, config.latent_dim)
        scales = config.shortest_scale * (config.longest_scale / config.shortest_scale) ** ratio
        self.register_buffer("scales", scales)
        layers = (config.architecture, config.width, config.layers, config.heads, config.dropout)
        self.embed = nn.Linear(motion_dim, config.width)
        self.encoder, self.decoder = sequence_model(*layers), sequence_model(*layers)
        self.posterior = GaussianHead(config)
        self.lift = nn.Linear(config.latent_dim, config.width)
        self.out = nn.Linear(config.width, motion_dim)
        self.encoder_skip = nn.Linear(motion_dim, config.latent_dim, bias=False)
        self.decoder_skip = nn.Linear(config.latent_dim, motion_dim, bias=False)
        nn.init.orthogonal_(self.encoder_skip.weight)
        self.decoder_skip.weight.data = torch.linalg.pinv(self.encoder_skip.weight.data)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    @torch.no_grad()
    def initialize(self, motion: Float[Tensor, "T C"], shot: Int[Tensor, " T"]) -> None:
        """Sets the linear skip layers to the slow features of the training frames, in the order of the length scales,
        so that each latent channel is about as fast as its prior."""
        weights = slow_features(motion, shot, self.config.latent_dim)
        self.encoder_skip.weight.copy_(weights)
        self.decoder_skip.weight.copy_(torch.linalg.pinv(weights))

    def encode_features(
        self, motion: Float[Tensor, "N T C"]
    ) -> tuple[Float[Tensor, "N T W"], Float[Tensor, "N Z T"], Float[Tensor, "N T Z K"]]:
        """E_h: computes the features f_h, an input of the cross-modal encoder, then mu and the diagonals of B."""
        tokens = self.embed(motion)
        features = self.encoder(tokens + sinusoidal_positions(motion.shape[1], tokens.shape[2], tokens.device))
        mean, bands = self.posterior(features)
        return features, mean + self.encoder_skip(motion).transpose(1, 2), bands

    def encode(self, motion: Float[Tensor, "N T C"]) -> BandedGaussian:
        """Computes the posterior q(z | h) of standardised sequences of any length."""
        _, mean, bands = self.encode_features(motion)
        return BandedGaussian(mean, banded_factor(bands), self.prior_cholesky(motion.shape[1]))

    def decode(self, latent: Float[Tensor, "N Z T"]) -> Float[Tensor, "N T C"]:
        """D: computes standardised sequences from latent ones."""
        codes = latent.transpose(1, 2)
        tokens = self.lift(codes)
        motion = self.out(self.decoder(tokens + sinusoidal_positions(tokens.shape[1], tokens.shape[2], tokens.device)))
        motion = motion + self.decoder_skip(codes)
        return torch.cat([gaussian_smooth(motion[..., :EYE_START], self.config.smoothing), motion[..., EYE_START:]], -1)

    def prior_cholesky(self, length: int) -> Float[Tensor, "Z T T"]:
        """Computes the Cholesky factor L of the prior over `length` frames: K(t, t) = L L^T."""
        variance = self.config.variance
        if self.config.prior == "independent":
            return variance**0.5 * torch.eye(length).to(self.scales).expand(len(self.scales), -1, -1)
        kernel = cauchy_kernel(length, self.scales.double(), variance=variance)
        return torch.linalg.cholesky(kernel).to(self.scales.dtype)

    def conditional_prior(self, length: int, tau: int) -> tuple[Float[Tensor, "Z T tau"], Float[Tensor, "Z T T"]]:
        """Computes the prior over `length` frames conditioned on its first tau frames.

        Returns:
            The weights of the conditional mean on the first tau frames, and the Cholesky factor of the conditional
            covariance, which is small near those frames and approaches the prior far from them.
        """
        cholesky = self.prior_cholesky(length).double()
        kernel = cholesky @ cholesky.mT
        known = kernel[:, :tau, :tau] + self.config.bop_variance * torch.eye(tau).to(cholesky)
        weights = torch.linalg.solve(known, kernel[:, :tau]).mT
        remaining = kernel - weights @ kernel[:, :tau] + 1e-5 * torch.eye(length).to(cholesky)
        return weights.to(self.scales), torch.linalg.cholesky(remaining).to(self.scales)

    def extrapolate(self, beginning: Float[Tensor, "N tau C"], length: int) -> BandedGaussian:
        """Computes the prior over `length` frames conditioned on a beginning of motion, without audio."""
        weights, cholesky = self.conditional_prior(length, beginning.shape[1])
        mean = torch.einsum("ztk,nzk->nzt", weights, self.encode_features(beginning)[1])
        factor = torch.eye(length).to(mean).expand(*mean.shape[:2], -1, -1)
        return BandedGaussian(mean, factor, cholesky)
