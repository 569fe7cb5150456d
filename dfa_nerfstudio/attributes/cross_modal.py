"""From sound and the beginning of pose to motion: the cross-modal encoder E_ah (section 3.4, Fig. 4b, Eq. 9)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from dfa_nerfstudio.attributes.fitting import FitConfig, Objective
from dfa_nerfstudio.attributes.gaussian_process import BandedGaussian, banded_factor
from dfa_nerfstudio.attributes.gp_vae import (
    GaussianHead,
    SequenceTransformer,
    TransformerGPVAE,
    sequence_error,
    sinusoids,
    usual_speed,
)
from dfa_nerfstudio.attributes.shots import random_windows


@dataclass
class CrossModalConfig:
    """Options of E_ah."""

    bop: int = 16
    """Frames of the beginning of pose (tau)."""
    window: int = 64
    """Frames of a window: the beginning of pose and what follows it."""
    start_variance: float = 0.05
    """Of the noise that the Gaussian process allows for when it continues the beginning of pose: an exact
    interpolation would go on with its last tremble."""
    posterior_weight: float = 0.01
    """Weight of the divergence from E_h's posterior, per frame and channel."""
    bop_noise: float = 0.05
    """Gaussian noise on the beginning of pose in training: in generation it is not quite a real one."""
    audio_noise: float = 0.05
    """Gaussian noise on f_a in training."""
    batch_size: int = 16
    """Windows a step."""
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=350, learning_rate=2e-3))
    """Steps and rates."""


class CrossModalEncoder(nn.Module):
    """E_ah: f_a of a window and f_h = E_h(BOP), concatenated in time, to the distribution of z_ah over the window.

    E_h also says where in Z the beginning of pose lies. The Gaussian process continues it over the window, and the
    Transformer's mean is added to that: at the start of training E_ah is the process conditioned on the beginning of
    pose, and what it learns is how this person goes on and what the sound changes.
    """

    def __init__(self, config: CrossModalConfig, vae: TransformerGPVAE, audio_dim: int) -> None:
        super().__init__()
        self.config = config
        latent = vae.config
        self.audio = nn.Linear(audio_dim, latent.width)
        self.motion = nn.Linear(latent.width, latent.width)
        self.transformer = SequenceTransformer(latent)
        self.head = GaussianHead(latent)
        nn.init.zeros_(self.head.mean.weight)
        nn.init.zeros_(self.head.mean.bias)

    def forward(
        self, audio: Float[Tensor, "N T A"], bop: Float[Tensor, "N tau C"], vae: TransformerGPVAE
    ) -> BandedGaussian:
        """The distribution N(mu', K') of z_ah.

        Args:
            audio: f_a of the whole window.
            bop: standardised motion of its first tau frames.
            vae: the trained latent space.
        """
        length, tau = audio.shape[1], bop.shape[1]
        features = vae.encode_tokens(bop)
        start, start_bands = vae.posterior(features)
        root = vae.prior_root(length)
        kernel = root @ root.mT
        known = kernel[:, :tau, :tau] + self.config.start_variance * torch.eye(tau, device=root.device)
        weights = torch.linalg.solve(known, kernel[:, :tau]).mT  # [Z, T, tau]
        continued = torch.einsum("ztk,nzk->nzt", weights, start)  # [N, Z, T]
        position = sinusoids(length, features.shape[2], audio.device)
        tokens = torch.cat([self.audio(audio) + position, self.motion(features) + position[:tau]], 1)
        mean, bands = self.head(self.transformer(tokens)[:, :length])
        bands = bands + F.pad(start_bands, (0, 0, 0, 0, 0, length - tau))
        return BandedGaussian(continued + mean, banded_factor(bands), root)


class CrossModalObjective(Objective):
    """Eq. 9, plus the divergence of z_ah from E_h's posterior of the true window.

    Eq. 9 alone knows only one right future: it is least with the mean of all futures and no variance, a frozen head.
    So Eq. 9 is taken at the mean of z_ah (which is what temperature 0 decodes), and the covariance, which makes the
    samples, is learnt by KL(q(z | h) || q_ah): z_ah is to cover what E_h says of windows that did follow such a
    beginning. Eq. 9's error is also counted on the beginning of pose itself, so that a window joins the one before.
    """

    motion: Tensor
    audio: Tensor
    speed: Tensor
    shot: Tensor
    check_motion: Tensor
    check_audio: Tensor

    def __init__(
        self,
        model: CrossModalEncoder,
        vae: TransformerGPVAE,
        motion: Float[Tensor, "T C"],
        audio: Float[Tensor, "T A"],
        shot: Int[Tensor, " T"],
        num_validation: int = 0,
    ) -> None:
        super().__init__()
        self.model, self.vae = model, vae.requires_grad_(False)
        split = len(motion) - num_validation
        self.hold(speed=usual_speed(motion[:split], shot[:split]), shot=shot[:split])
        self.hold(motion=motion[:split], audio=audio[:split], check_motion=motion[split:], check_audio=audio[split:])

    def _terms(self, motion: Tensor, audio: Tensor, noise: float, audio_noise: float) -> tuple[Tensor, Tensor]:
        tau = self.model.config.bop
        self.vae.eval()
        start = motion[:, :tau] + noise * torch.randn_like(motion[:, :tau])
        audio = audio + audio_noise * torch.randn_like(audio) / audio.shape[-1] ** 0.5
        guess = self.model(audio, start, self.vae)
        error = sequence_error(self.vae.decode(guess.mean), motion, self.speed, self.vae.config.velocity_weight)
        with torch.no_grad():
            truth = self.vae.encode(motion)
        return error, truth.kl_to(guess).mean(0).sum() / motion.shape[1]

    def training_loss(self, progress: float) -> dict[str, Tensor]:
        """Both terms on a batch of windows."""
        config = self.model.config
        frames = random_windows(config.batch_size, config.window, self.shot)
        error, nats = self._terms(self.motion[frames], self.audio[frames], config.bop_noise, config.audio_noise)
        return {"prediction": error, "divergence": config.posterior_weight * nats}

    @torch.no_grad()
    def validation_loss(self) -> Tensor | None:
        """Both terms on validation windows without noise."""
        config = self.model.config
        if len(self.check_motion) < config.window:
            return None
        windows = [x.unfold(0, config.window, 8).transpose(1, 2) for x in (self.check_motion, self.check_audio)]
        error, nats = self._terms(windows[0], windows[1], 0.0, 0.0)
        return error + config.posterior_weight * nats
