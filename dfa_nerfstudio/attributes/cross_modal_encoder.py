"""From sound and the beginning of pose to motion: the cross-modal encoder E_ah (section 3.4, Fig. 4b, Eq. 9)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dfa_nerfstudio.attributes.blending import joined
from dfa_nerfstudio.attributes.energy_score import energy_score
from dfa_nerfstudio.attributes.gaussian_process import BandedGaussian, banded_factor
from dfa_nerfstudio.attributes.gp_vae import GaussianHead, TransformerGPVAE
from dfa_nerfstudio.attributes.gp_vae_objective import usual_speed
from dfa_nerfstudio.attributes.motion_scale import Liveliness
from dfa_nerfstudio.attributes.motion_sequences import MotionSequences
from dfa_nerfstudio.attributes.objective import FitConfig, Objective
from dfa_nerfstudio.attributes.segments import random_windows
from dfa_nerfstudio.attributes.sequence_models import sequence_model, sinusoids
from dfa_nerfstudio.attributes.velocity_extrapolation import LAGS, Momentum
from dfa_nerfstudio.errors import UserError


@dataclass
class CrossModalConfig:
    """Options of E_ah."""

    bop: int = 16
    """Frames of the beginning of pose (tau)."""
    window: int = 64
    """Frames of a window: the beginning of pose and what follows it."""
    momentum: float = 1.5
    """Frames in which the velocity dies away by which the beginning of pose goes on otherwise than what is decoded."""
    memory: float = 50.0
    """And frames in which the difference of place does, and the head is back where it usually is."""
    sample_weight: float = 1.0
    """Weight of the energy score of samples against Eq. 9 at their mean."""
    bop_noise: float = 0.01
    """Gaussian noise on the beginning of pose in training: in generation it is not quite a real one."""
    audio_noise: float = 0.05
    """Gaussian noise on f_a in training."""
    batch_size: int = 16
    """Windows a step."""
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=100, learning_rate=1e-3))
    """Steps and rates."""


class CrossModalEncoder(nn.Module):
    """E_ah: f_a of a window and f_h = E_h(BOP), concatenated in time, to the distribution of z_ah over the window.

    `Momentum` continues the beginning of pose over the window, and E_h says where in Z that lies. What the Transformer
    says is added to it, in units of what the Gaussian process leaves open at each frame given the beginning of pose: at
    the start of training the mean of E_ah is a head that comes to rest, and what it learns is what else heads do and
    what the sound changes. The mean of the process itself is a worse start: its prior knows the posture that is usual
    in the film, to which a head that has just taken another one does not return.

    f_h is that of the beginning of pose about its last frame: how the head moves and not where it is. A minute of film
    holds a few postures and tells what followed each of them once, which would be learnt by heart.
    """

    def __init__(self, config: CrossModalConfig, vae: TransformerGPVAE, audio_dim: int) -> None:
        super().__init__()
        if not max(LAGS) < config.bop < config.window:
            raise UserError(
                f"a beginning of pose of {config.bop} frames: must be more than {max(LAGS)} and less than the window "
                f"of {config.window}"
            )
        self.config = config
        self.momentum = Momentum(vae.motion_dim)
        latent = vae.config
        self.liveliness = Liveliness(latent.latent_dim)
        self.audio = nn.Linear(audio_dim, latent.width)
        self.motion = nn.Linear(latent.width, latent.width)
        self.layers = sequence_model(latent.architecture, latent.width, latent.layers, latent.heads, latent.dropout)
        self.head = GaussianHead(latent)

    @torch.no_grad()
    def begin_with(self, learnt: MotionSequences, vae: TransformerGPVAE) -> None:
        """Measures in training frames how motion goes on by itself, and how far it strays from that: each latent
        channel, place and velocity alike, in units of what the Gaussian process leaves open."""
        tau, length = self.config.bop, self.config.window
        self.momentum.learn(learnt.motion, learnt.shot, length - tau)
        windows, _ = learnt.windows(length, 4)  # [N, T, C]
        if not len(windows):
            return
        resting = vae.read(self.momentum(windows[:, :tau], length))[1]  # [N, Z, T]
        strays = vae.read(windows)[1] - resting
        self.liveliness.learn(resting[..., :tau], strays[..., tau:], vae.given(length, tau)[1][:, tau:])

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
        resting = vae.read(self.momentum(bop, length))[1]  # [N, Z, T]
        features = vae.read(bop - bop[:, -1:])[0]
        spread = self.liveliness(resting[..., :tau])[..., None]  # [N, Z, 1]
        root = vae.given(length, tau)[1]
        position = sinusoids(length, features.shape[2], audio.device)
        tokens = torch.cat([self.motion(features) + position[:tau], self.audio(audio) + position], 1)
        white, bands = self.head(self.layers(tokens)[:, tau:])
        return BandedGaussian(
            resting + spread * root.norm(dim=-1) * white, banded_factor(bands) / spread[..., None], root
        )


def usual_drift(motion: Float[Tensor, "T C"], shot: Int[Tensor, " T"], length: int) -> Float[Tensor, "L C"]:
    """Root mean square change of each channel within 1 to `length` frames: what standing still would be wrong by."""
    rows = [torch.zeros(motion.shape[1])]
    for horizon in range(1, length + 1):
        same = shot[horizon:] == shot[:-horizon]
        change = (motion[horizon:] - motion[:-horizon])[same]
        rows.append(change.square().mean(0).sqrt() if len(change) else rows[-1])  # no shot is as long
    return torch.stack(rows[1:]).cummax(0).values.clamp(min=1e-3)


class CrossModalObjective(Objective):
    """Eq. 9 at the mean of z_ah, and the energy score of its samples.

    Eq. 9 knows only one right future: it is least with the mean of all futures and no variance, a frozen head. So it is
    taken at the mean, which is what temperature 0 decodes, and the covariance, which makes the samples, is learnt by
    `energy_score`. Both are counted after the window is laid on its beginning of pose, as in generation.

    A hundred small steps: with more, what followed in a minute of film is learnt by heart.
    """

    motion: Tensor
    audio: Tensor
    shot: Tensor
    weight: Tensor
    speed: Tensor
    drift: Tensor
    check_motion: Tensor
    check_audio: Tensor

    def __init__(
        self,
        model: CrossModalEncoder,
        vae: TransformerGPVAE,
        learnt: MotionSequences,
        check: MotionSequences | None = None,
    ) -> None:
        super().__init__()
        self.model, self.vae = model, vae.requires_grad_(False)
        motion, audio = (check or learnt.part(slice(0))).windows(model.config.window, 8)
        self.hold(motion=learnt.motion, audio=learnt.audio, shot=learnt.shot, weight=learnt.weight)
        self.hold(speed=usual_speed(learnt.motion, learnt.shot), check_motion=motion, check_audio=audio)
        self.hold(drift=usual_drift(learnt.motion, learnt.shot, model.config.window - model.config.bop))

    def _terms(self, motion: Tensor, audio: Tensor, noise: float, audio_noise: float) -> tuple[Tensor, Tensor]:
        config = self.model.config
        tau = config.bop
        self.vae.eval()
        start = motion[:, :tau] + noise * torch.randn_like(motion[:, :tau])
        audio = audio + audio_noise * torch.randn_like(audio) / audio.shape[-1] ** 0.5
        guess = self.model(audio, start, self.vae)
        latents = torch.cat([guess.mean, guess.sample(), guess.sample()])
        made = joined(self.vae.decode(latents), start.repeat(3, 1, 1), config.momentum, config.memory)[:, tau:]
        mean, first, second = made.chunk(3)
        true = motion[:, tau:]
        error = ((mean - true) / self.drift).square().mean()
        return error, energy_score(first, second, true, self.drift, self.speed)

    def training_loss(self, progress: float) -> dict[str, Tensor]:
        """Both terms on a batch of windows."""
        config = self.model.config
        frames = random_windows(config.batch_size, config.window, self.shot, self.weight)
        error, score = self._terms(self.motion[frames], self.audio[frames], config.bop_noise, config.audio_noise)
        return {"prediction": error, "samples": config.sample_weight * score}

    @torch.no_grad()
    def validation_loss(self) -> Tensor | None:
        """Both terms on validation windows without noise."""
        if not len(self.check_motion):
            return None
        error, score = self._terms(self.check_motion, self.check_audio, 0.0, 0.0)
        return error + self.model.config.sample_weight * score
