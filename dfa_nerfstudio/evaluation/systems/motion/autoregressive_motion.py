"""Autoregressive Gaussian model of head motion, after Live Speech Portraits [30]."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor, nn

from dfa_nerfstudio.attributes.objective import FitConfig
from dfa_nerfstudio.evaluation.systems.motion.motion_model import MotionModel, MotionObjective

DILATIONS = (1, 2, 4, 8, 16, 32) * 2
"""Dilations of the causal convolutions: 127 frames of past motion, five seconds."""
LOG_SCALE_LIMITS = (-6.0, 2.0)
"""Range of the logarithm of the standard deviation, for numerical stability."""
PAST_NOISE = 0.1
"""Standard deviation of Gaussian noise on past motion in training. Without it generated motion drifts to the limits of
its range and stays there, because the model has not learnt to return from its own errors."""


class GatedResidualBlock(nn.Module):
    """A causal dilated convolution of past motion with a gate, conditioned on f_a."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.past = nn.Conv1d(width, 2 * width, 2, dilation=dilation)
        self.audio = nn.Conv1d(width, 2 * width, 1)
        self.skip, self.residual = nn.Conv1d(width, width, 1), nn.Conv1d(width, width, 1)

    def forward(
        self, past: Float[Tensor, "N W T"], audio: Float[Tensor, "N W T"]
    ) -> tuple[Float[Tensor, "N W T"], Float[Tensor, "N W T"]]:
        """Computes the next block's input and the contribution to the output."""
        padded = F.pad(past, (self.dilation, 0), mode="replicate")
        value, gate = (self.past(padded) + self.audio(audio)).chunk(2, 1)
        gated = value.tanh() * gate.sigmoid()
        return past + self.residual(gated), self.skip(gated)


class AutoregressiveMotion(MotionModel):
    """p(h_t | h_<t, f_a) as a Gaussian, by gated causal convolutions of past motion (Y. Lu et al., "Live Speech
    Portraits", 2021): two stacks of dilated residual blocks, trained by maximum likelihood, sampled frame by frame.

    Mean and standard deviation are those of the change from the previous frame. Generated motion is clamped to the
    range of the training frames.
    """

    varies = True

    speed: Tensor
    """Root mean square frame-to-frame change of each channel [C]."""
    limits: Tensor
    """Smallest and largest value of each channel [2, C]."""

    def __init__(
        self, audio_dim: int, speed: Float[Tensor, " C"], limits: Float[Tensor, "2 C"], width: int = 64
    ) -> None:
        """
        Args:
            audio_dim: size of f_a.
            speed: `reference_speed` of the person.
            limits: smallest and largest h of the training frames.
            width: channels of the convolutions.
        """
        super().__init__()
        motion_dim = len(speed)
        self.motion_in = nn.Conv1d(2 * motion_dim, width, 1)
        self.audio_in = nn.Conv1d(audio_dim, width, 1)
        self.blocks = nn.ModuleList(GatedResidualBlock(width, dilation) for dilation in DILATIONS)
        self.out = nn.Sequential(nn.GELU(), nn.Conv1d(width, width, 1), nn.GELU(), nn.Conv1d(width, 2 * motion_dim, 1))
        self.register_buffer("speed", speed)
        self.register_buffer("limits", limits)

    def forward(
        self, past: Float[Tensor, "N T C"], audio: Float[Tensor, "N T A"]
    ) -> tuple[Float[Tensor, "N T C"], Float[Tensor, "N T C"]]:
        """Computes mean and logarithm of the standard deviation of the change after each frame, in units of the
        person's own speed.

        Args:
            past: motion up to each frame.
            audio: f_a of the frame after each.
        """
        velocity = F.pad(past.diff(dim=1), (0, 0, 1, 0)) / self.speed
        hidden = self.motion_in(torch.cat([past, velocity], -1).transpose(1, 2))
        condition, total = self.audio_in(audio.transpose(1, 2)), 0.0
        for block in self.blocks:
            hidden, skip = block(hidden, condition)
            total = total + skip
        mean, log_scale = self.out(total).transpose(1, 2).chunk(2, -1)
        return mean, log_scale.clamp(*LOG_SCALE_LIMITS)

    def generate(
        self, audio: Float[Tensor, "N T A"], start: Float[Tensor, "N tau C"], generator: Generator | None = None
    ) -> Float[Tensor, "N T C"]:
        motion, memory = list(start.unbind(1)), sum(DILATIONS) + 1
        for frame in range(start.shape[1], audio.shape[1]):
            first = max(0, frame - memory)
            past = torch.stack(motion[first:], 1)
            mean, log_scale = self(past, audio[:, first + 1 : frame + 1])
            change = mean[:, -1]
            if generator is not None:
                change = change + log_scale[:, -1].exp() * torch.randn(change.shape, generator=generator)
            motion.append((motion[-1] + self.speed * change).clamp(*self.limits))
        return torch.stack(motion, 1)


class LikelihoodObjective(MotionObjective):
    """Negative logarithm of the likelihood of each frame's motion given all earlier frames of the window."""

    model: AutoregressiveMotion

    def training_loss(self, progress: float) -> dict[str, Tensor]:
        """Computes the loss of a batch."""
        motion, audio = self.batch()
        past = motion[:, :-1] + PAST_NOISE * torch.randn_like(motion[:, :-1])
        mean, log_scale = self.model(past, audio[:, 1:])
        error = ((motion[:, 1:] - past) / self.model.speed - mean) / log_scale.exp()
        return {"likelihood": (0.5 * error.square() + log_scale).mean()}


AUTOREGRESSIVE_FIT = FitConfig(steps=300, learning_rate=1e-3)
"""Training options."""
