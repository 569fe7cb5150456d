"""The cross-modal encoder E_ah, from audio and the beginning of pose to motion (section 3.4, Fig. 4b, Eq. 9)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dfa_nerfstudio.attributes.blending import blend_onset
from dfa_nerfstudio.attributes.energy_score import energy_score
from dfa_nerfstudio.attributes.gaussian_process import BandedGaussian, banded_factor
from dfa_nerfstudio.attributes.gp_vae import GaussianHead, TransformerGPVAE
from dfa_nerfstudio.attributes.gp_vae_objective import reference_speed
from dfa_nerfstudio.attributes.motion_scale import AdaptiveMotionScale
from dfa_nerfstudio.attributes.motion_sequences import MotionSequences
from dfa_nerfstudio.attributes.objective import FitConfig, Objective
from dfa_nerfstudio.attributes.segments import random_windows
from dfa_nerfstudio.attributes.sequence_models import sequence_model, sinusoidal_positions
from dfa_nerfstudio.attributes.velocity_extrapolation import LAGS, VelocityExtrapolation
from dfa_nerfstudio.errors import UserError


@dataclass
class CrossModalConfig:
    """Options of E_ah."""

    bop: int = 16
    """Length tau of the beginning of pose, in frames."""
    window: int = 64
    """Length of a window in frames: the beginning of pose and what follows it."""
    velocity_decay: float = 1.5
    """Time constant, in frames, over which the velocity difference decays when a window is blended onto the previous
    one (`blend_onset`)."""
    position_decay: float = 50.0
    """Time constant, in frames, over which the position difference decays when a window is blended onto the previous
    one (`blend_onset`)."""
    sample_weight: float = 1.0
    """Weight of the energy score of samples against Eq. 9 at their mean."""
    bop_noise: float = 0.01
    """Standard deviation of Gaussian noise on the beginning of pose in training, because a generated one differs
    slightly from a real one."""
    audio_noise: float = 0.05
    """Standard deviation of Gaussian noise on f_a in training."""
    batch_size: int = 16
    """Windows per step."""
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=100, learning_rate=1e-3))
    """Training options."""


class CrossModalEncoder(nn.Module):
    """E_ah: from f_a of a window and f_h = E_h(BOP), concatenated in time, to the distribution of z_ah in the window.

    `VelocityExtrapolation` continues the beginning of pose over the window, and E_h maps the result to Z. The output of
    the Transformer is added to that, in units of the standard deviation that the Gaussian process leaves at each frame
    given the beginning of pose. So at the start of training the mean of E_ah is a head that comes to rest, and training
    adds the other movements and the influence of the audio. The conditional mean of the process itself is a worse
    start, because it returns to the mean pose of the video, which a head that has just moved to another pose does not.

    f_h is computed from the beginning of pose relative to its last frame, so that it holds the movement of the head and
    not its position. A minute of video shows few poses and one continuation of each, which the model would memorise.
    """

    def __init__(self, config: CrossModalConfig, vae: TransformerGPVAE, audio_dim: int) -> None:
        """
        Args:
            config: options.
            vae: the latent space, whose architecture E_ah shares.
            audio_dim: size of f_a.

        Raises:
            UserError: if the lengths of the beginning of pose and of the window do not fit.
        """
        super().__init__()
        if not max(LAGS) < config.bop < config.window:
            raise UserError(
                f"a beginning of pose of {config.bop} frames: must be more than {max(LAGS)} and less than the window "
                f"of {config.window}"
            )
        self.config = config
        self.extrapolation = VelocityExtrapolation(vae.motion_dim)
        latent = vae.config
        self.motion_scale = AdaptiveMotionScale(latent.latent_dim)
        self.audio = nn.Linear(audio_dim, latent.width)
        self.motion = nn.Linear(latent.width, latent.width)
        self.layers = sequence_model(latent.architecture, latent.width, latent.layers, latent.heads, latent.dropout)
        self.head = GaussianHead(latent)

    @torch.no_grad()
    def initialize(self, train: MotionSequences, vae: TransformerGPVAE) -> None:
        """Fits `extrapolation` to training frames, then `motion_scale` to the residuals of that in Z."""
        tau, length = self.config.bop, self.config.window
        self.extrapolation.fit(train.motion, train.shot, length - tau)
        windows, _ = train.windows(length, 4)  # [N, T, C]
        if not len(windows):
            return
        predicted = vae.encode_features(self.extrapolation(windows[:, :tau], length))[1]  # [N, Z, T]
        residuals = vae.encode_features(windows)[1] - predicted
        conditional_cholesky = vae.conditional_prior(length, tau)[1]
        self.motion_scale.fit(predicted[..., :tau], residuals[..., tau:], conditional_cholesky[:, tau:])

    def forward(
        self, audio: Float[Tensor, "N T A"], bop: Float[Tensor, "N tau C"], vae: TransformerGPVAE
    ) -> BandedGaussian:
        """Computes the distribution N(mu', K') of z_ah.

        Args:
            audio: f_a of the whole window.
            bop: standardised motion of its first tau frames.
            vae: the trained latent space.
        """
        length, tau = audio.shape[1], bop.shape[1]
        predicted = vae.encode_features(self.extrapolation(bop, length))[1]  # [N, Z, T]
        features = vae.encode_features(bop - bop[:, -1:])[0]
        spread = self.motion_scale(predicted[..., :tau])[..., None]  # [N, Z, 1]
        cholesky = vae.conditional_prior(length, tau)[1]
        position = sinusoidal_positions(length, features.shape[2], audio.device)
        tokens = torch.cat([self.motion(features) + position[:tau], self.audio(audio) + position], 1)
        residual, bands = self.head(self.layers(tokens)[:, tau:])
        return BandedGaussian(
            predicted + spread * cholesky.norm(dim=-1) * residual, banded_factor(bands) / spread[..., None], cholesky
        )


def reference_drift(motion: Float[Tensor, "T C"], shot: Int[Tensor, " T"], length: int) -> Float[Tensor, "L C"]:
    """Computes the root mean square change of each channel over 1 to `length` frames, within shots: the error of
    predicting no motion."""
    rows = [torch.zeros(motion.shape[1])]
    for horizon in range(1, length + 1):
        same_shot = shot[horizon:] == shot[:-horizon]
        change = (motion[horizon:] - motion[:-horizon])[same_shot]
        rows.append(change.square().mean(0).sqrt() if len(change) else rows[-1])  # no shot is that long
    return torch.stack(rows[1:]).cummax(0).values.clamp(min=1e-3)


class CrossModalObjective(Objective):
    """Eq. 9 at the mean of z_ah, plus the energy score of its samples.

    Eq. 9 alone is minimal for the mean of all futures without variance, a frozen head. Therefore it is evaluated at the
    mean, which temperature 0 decodes, and the covariance, from which samples are drawn, is trained by `energy_score`.
    Both are evaluated after the window is blended onto its beginning of pose, as in generation.

    The default is a hundred small steps, because with more the model memorises a minute of video.
    """

    motion: Tensor
    audio: Tensor
    shot: Tensor
    weight: Tensor
    speed: Tensor
    drift: Tensor
    val_motion: Tensor
    val_audio: Tensor

    def __init__(
        self,
        model: CrossModalEncoder,
        vae: TransformerGPVAE,
        train: MotionSequences,
        val: MotionSequences | None = None,
    ) -> None:
        super().__init__()
        self.model, self.vae = model, vae.requires_grad_(False)
        motion, audio = (val or train.part(slice(0))).windows(model.config.window, 8)
        self.register_data(motion=train.motion, audio=train.audio, shot=train.shot, weight=train.weight)
        self.register_data(speed=reference_speed(train.motion, train.shot), val_motion=motion, val_audio=audio)
        self.register_data(drift=reference_drift(train.motion, train.shot, model.config.window - model.config.bop))

    def _terms(self, motion: Tensor, audio: Tensor, noise: float, audio_noise: float) -> tuple[Tensor, Tensor]:
        config = self.model.config
        tau = config.bop
        self.vae.eval()
        bop = motion[:, :tau] + noise * torch.randn_like(motion[:, :tau])
        audio = audio + audio_noise * torch.randn_like(audio) / audio.shape[-1] ** 0.5
        latent = self.model(audio, bop, self.vae)
        decoded = self.vae.decode(torch.cat([latent.mean, latent.sample(), latent.sample()]))
        blended = blend_onset(decoded, bop.repeat(3, 1, 1), config.velocity_decay, config.position_decay)[:, tau:]
        mean, first, second = blended.chunk(3)
        true = motion[:, tau:]
        error = ((mean - true) / self.drift).square().mean()
        return error, energy_score(first, second, true, self.drift, self.speed)

    def training_loss(self, progress: float) -> dict[str, Tensor]:
        """Computes both terms on a batch of windows."""
        config = self.model.config
        frames = random_windows(config.batch_size, config.window, self.shot, self.weight)
        error, score = self._terms(self.motion[frames], self.audio[frames], config.bop_noise, config.audio_noise)
        return {"prediction": error, "samples": config.sample_weight * score}

    @torch.no_grad()
    def validation_loss(self) -> Tensor | None:
        """Computes both terms on the validation windows without noise; None where there are none."""
        if not len(self.val_motion):
            return None
        error, score = self._terms(self.val_motion, self.val_audio, 0.0, 0.0)
        return error + self.model.config.sample_weight * score
