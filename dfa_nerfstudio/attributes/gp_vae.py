"""The Transformer GP-VAE: a latent space of head motion and blinks (section 3.4, Fig. 4a, Eqs. 4 to 8)."""

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
from dfa_nerfstudio.attributes.sequence_models import Architecture, sequence_model, sinusoids
from dfa_nerfstudio.attributes.slow_features import slow_features
from dfa_nerfstudio.errors import UserError


@dataclass
class GPVAEConfig:
    """Options of the latent space."""

    architecture: Architecture = "transformer"
    """Of encoders and decoder; the others are for comparison (Table 4)."""
    prior: Literal["gaussian-process", "independent"] = "gaussian-process"
    """Of the latent space: Eq. 7, or every frame for itself, for comparison (Table 4)."""
    latent_dim: int = 16
    """Channels Z of the latent space."""
    width: int = 64
    """Of the tokens."""
    layers: int = 2
    """Of encoder and decoder each."""
    heads: int = 4
    """Of the attention."""
    dropout: float = 0.0
    """In all layers."""
    band: int = 2
    """Diagonals of B above the main one; none with the independent prior."""
    inertia: float = 0.8
    """Standard deviation in frames of the Gaussian through which D's head and torso channels pass: heads are heavy.
    Blinks are not held back."""
    window: int = 64
    """Longest training sequence in frames; half of it is the shortest."""
    shortest_scale: float = 2.5
    """Length scale of the prior's fastest channel, in frames."""
    longest_scale: float = 60.0
    """And of its slowest; between them a geometric series."""
    variance: float = 1.0
    """Of each channel in the prior."""
    start_variance: float = 0.05
    """Of the noise that the prior allows for where a beginning of motion is given: an exact interpolation would go on
    with its last tremble."""
    kl_weight: float = 0.006
    """Weight of Eq. 8 against Eq. 6, per frame and channel."""
    free_nats: float = 0.05
    """KL per frame and channel that costs nothing, against collapsed channels."""
    level_noise: float = 0.3
    """Standard deviation of a random constant added to each channel of a training sequence: a minute of film holds few
    different postures, and a new one is still a posture."""
    velocity_weight: float = 0.1
    """Weight of the error of frame-to-frame change in Eq. 6."""
    batch_size: int = 16
    """Sequences a step."""
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=400, learning_rate=2e-3))
    """Steps and rates."""


def smooth(values: Float[Tensor, "N T C"], sigma: float) -> Float[Tensor, "N T C"]:
    """Gaussian smoothing over time; the ends are extended by their last value."""
    if sigma <= 0:
        return values
    reach = math.ceil(3 * sigma)
    time = torch.arange(-reach, reach + 1, device=values.device, dtype=values.dtype)
    kernel = torch.softmax(-0.5 * (time / sigma).square(), 0)
    padded = F.pad(values.transpose(1, 2), (reach, reach), mode="replicate")  # [N, C, T + 2 reach]
    return (padded.unfold(2, 2 * reach + 1, 1) @ kernel).transpose(1, 2)


class GaussianHead(nn.Module):
    """Mean and banded factor of each latent channel from a frame's token."""

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
        """mu, and the diagonals of B."""
        return self.mean(tokens).transpose(1, 2), self.bands(tokens).unflatten(-1, (self.mean.out_features, -1))


class TransformerGPVAE(nn.Module):
    """Encoder E_h: h to the posterior N(mu, K) of Eqs. 4 and 5; decoder D back; prior N(0, K(t, t)) of Eq. 7.

    A linear layer beside the others on either side, as in F_d: a minute of film shows few postures, and one that it
    does not show is the same motion somewhere else. Training begins with a linear latent space (`begin_with`).
    """

    scales: Tensor

    def __init__(self, config: GPVAEConfig, motion_dim: int) -> None:
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
    def begin_with(self, motion: Float[Tensor, "T C"], shot: Int[Tensor, " T"]) -> None:
        """Gives each channel of the linear latent space a motion as quick as its prior expects: slow features of the
        training frames, in the order of the length scales."""
        weights = slow_features(motion, shot, self.config.latent_dim)
        self.encoder_skip.weight.copy_(weights)
        self.decoder_skip.weight.copy_(torch.linalg.pinv(weights))

    def read(
        self, motion: Float[Tensor, "N T C"]
    ) -> tuple[Float[Tensor, "N T W"], Float[Tensor, "N Z T"], Float[Tensor, "N T Z K"]]:
        """E_h layer by layer: the features f_h that the cross-modal encoder reads, mu, and the diagonals of B."""
        tokens = self.embed(motion)
        features = self.encoder(tokens + sinusoids(motion.shape[1], tokens.shape[2], tokens.device))
        mean, bands = self.posterior(features)
        return features, mean + self.encoder_skip(motion).transpose(1, 2), bands

    def encode(self, motion: Float[Tensor, "N T C"]) -> BandedGaussian:
        """The posterior q(z | h) of standardised sequences of any length."""
        _, mean, bands = self.read(motion)
        return BandedGaussian(mean, banded_factor(bands), self.prior_root(motion.shape[1]))

    def decode(self, latent: Float[Tensor, "N Z T"]) -> Float[Tensor, "N T C"]:
        """D: standardised sequences of latent ones."""
        codes = latent.transpose(1, 2)
        tokens = self.lift(codes)
        made = self.out(self.decoder(tokens + sinusoids(tokens.shape[1], tokens.shape[2], tokens.device)))
        made = made + self.decoder_skip(codes)
        return torch.cat([smooth(made[..., :EYE_START], self.config.inertia), made[..., EYE_START:]], -1)

    def prior_root(self, length: int) -> Float[Tensor, "Z T T"]:
        """L of the prior over `length` frames: K(t, t) = L L^T."""
        variance = self.config.variance
        if self.config.prior == "independent":
            return variance**0.5 * torch.eye(length).to(self.scales).expand(len(self.scales), -1, -1)
        kernel = cauchy_kernel(length, self.scales.double(), variance=variance)
        return torch.linalg.cholesky(kernel).to(self.scales.dtype)

    def given(self, length: int, tau: int) -> tuple[Float[Tensor, "Z T tau"], Float[Tensor, "Z T T"]]:
        """The prior over `length` frames given its first tau: what its mean makes of them, and the root of what it then
        leaves open, nothing near them and everything farther on."""
        root = self.prior_root(length).double()
        kernel = root @ root.mT
        known = kernel[:, :tau, :tau] + self.config.start_variance * torch.eye(tau).to(root)
        weights = torch.linalg.solve(known, kernel[:, :tau]).mT
        left = kernel - weights @ kernel[:, :tau] + 1e-5 * torch.eye(length).to(root)
        return weights.to(self.scales), torch.linalg.cholesky(left).to(self.scales)

    def continued(self, beginning: Float[Tensor, "N tau C"], length: int) -> BandedGaussian:
        """What the prior alone, without sound, makes of a beginning of motion."""
        weights, root = self.given(length, beginning.shape[1])
        mean = torch.einsum("ztk,nzk->nzt", weights, self.read(beginning)[1])
        factor = torch.eye(length).to(mean).expand(*mean.shape[:2], -1, -1)
        return BandedGaussian(mean, factor, root)
