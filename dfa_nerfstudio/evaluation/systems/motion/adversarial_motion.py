"""Adversarial sequence model of head motion, after FACIAL [54]."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor, nn

from dfa_nerfstudio.attributes.gp_vae_objective import sequence_loss
from dfa_nerfstudio.attributes.motion_sequences import MotionSequences
from dfa_nerfstudio.attributes.objective import FitConfig
from dfa_nerfstudio.evaluation.systems.motion.motion_model import MotionModel, MotionObjective, blend

WINDOW = 107
"""Frames that are generated at once: 128 at the paper's 30 frames/s."""
ADVERSARIAL_WEIGHT = 0.1
"""Weight of the generator's adversarial loss against the regression."""


def _convolutions(channels: list[int], kernel: int, stride: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers += [nn.Conv1d(before, after, kernel, stride, kernel // 2), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers)


class AdversarialMotion(MotionModel):
    """A generator with a temporal and a local part (C. Zhang et al., "FACIAL: synthesizing dynamic talking face with
    implicit attribute learning", 2021); deterministic.

    The temporal part encodes f_a of the whole window into one code, the local part encodes the frames around each
    frame, and both with the last pose of the beginning are decoded to h.
    """

    window = WINDOW

    def __init__(self, audio_dim: int, motion_dim: int, width: int = 128) -> None:
        super().__init__()
        self.temporal = _convolutions([audio_dim, width, width, width], 5, 2)
        self.local = _convolutions([audio_dim, width, width], 5, 1)
        self.decoder = nn.Sequential(
            nn.Conv1d(2 * width + motion_dim, width, 5, padding=2), nn.LeakyReLU(0.2), nn.Conv1d(width, motion_dim, 1)
        )

    def generate(
        self, audio: Float[Tensor, "N T A"], start: Float[Tensor, "N tau C"], generator: Generator | None = None
    ) -> Float[Tensor, "N T C"]:
        rows = audio.transpose(1, 2)
        context = torch.cat([self.temporal(rows).mean(-1), start[:, -1]], 1)[..., None].expand(-1, -1, rows.shape[2])
        return blend(self.decoder(torch.cat([context, self.local(rows)], 1)).transpose(1, 2), start)


class TemporalDiscriminator(nn.Module):
    """Scores whether segments of a window of motion are real, given f_a: convolutions over motion, speed and audio."""

    def __init__(self, audio_dim: int, motion_dim: int, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _convolutions([audio_dim + 2 * motion_dim, width, width, width], 5, 2), nn.Conv1d(width, 1, 1)
        )

    def forward(
        self, motion: Float[Tensor, "N T C"], audio: Float[Tensor, "N T A"], speed: Float[Tensor, " C"]
    ) -> Float[Tensor, "N S"]:
        """Scores S segments; trained towards 1 for real motion and 0 for generated motion."""
        velocity = F.pad(motion.diff(dim=1), (0, 0, 1, 0)) / speed
        return self.layers(torch.cat([motion, velocity, audio], -1).transpose(1, 2))[:, 0]


class AdversarialObjective(MotionObjective):
    """Regression, and a least-squares adversarial loss against a temporal discriminator.

    Generator and discriminator are updated in the same step. Each one's adversarial loss leaves the other's weights
    unchanged: generated motion is detached for the discriminator, the discriminator's weights for the generator.
    """

    def __init__(self, model: AdversarialMotion, train: MotionSequences, length: int) -> None:
        super().__init__(model, train, length)
        self.discriminator = TemporalDiscriminator(train.audio.shape[1], train.motion.shape[1])

    def training_loss(self, progress: float) -> dict[str, Tensor]:
        """Computes the losses of generator and discriminator on a batch."""
        motion, audio = self.batch()
        tau = self.model.bop
        generated = self.model.generate(audio, motion[:, :tau])
        frozen = {name: weight.detach() for name, weight in self.discriminator.named_parameters()}
        fooled = torch.func.functional_call(self.discriminator, frozen, (generated, audio, self.speed))
        real, fake = (self.discriminator(values, audio, self.speed) for values in (motion, generated.detach()))
        return {
            "prediction": sequence_loss(generated[:, tau:], motion[:, tau:], self.speed, 0.1),
            "generator": ADVERSARIAL_WEIGHT * (fooled - 1).square().mean(),
            "discriminator": (real - 1).square().mean() + fake.square().mean(),
        }


ADVERSARIAL_FIT = FitConfig(steps=400, learning_rate=1e-3)
"""Training options."""
