"""What all motion models of the comparison have in common: f_a and a beginning of pose in, motion h out."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.blending import blend_onset
from dfa_nerfstudio.attributes.cross_modal_encoder import CrossModalConfig
from dfa_nerfstudio.attributes.gp_vae_objective import reference_speed, sequence_loss
from dfa_nerfstudio.attributes.motion_generation import draw_beginning
from dfa_nerfstudio.attributes.motion_sequences import MotionSequences
from dfa_nerfstudio.attributes.objective import FitConfig, Objective
from dfa_nerfstudio.attributes.segments import random_windows
from dfa_nerfstudio.data.attribute_track import AttributeTrack

BLENDING = CrossModalConfig()
"""Decay of differences at the start of a window, the same for every model."""
BATCH_SIZE = 16
"""Training windows per step."""


class MotionModel(nn.Module, ABC):
    """A model of one person's motion h, conditioned on f_a."""

    bop: int = BLENDING.bop
    """Length tau of the beginning of pose in frames."""
    window: int | None = None
    """Frames of a window of models that generate long motion window by window, each of which begins with the last tau
    frames of the previous one; None for models that generate it frame by frame."""
    varies: bool = False
    """Whether generation depends on the seed."""

    @abstractmethod
    def generate(
        self, audio: Float[Tensor, "N T A"], start: Float[Tensor, "N tau C"], generator: Generator | None = None
    ) -> Float[Tensor, "N T C"]:
        """Generates motion of T frames.

        Args:
            audio: f_a of all frames, those of the beginning of pose included.
            start: the beginning of pose, which becomes the first tau frames.
            generator: source of random numbers; None gives the mean prediction.
        """

    def generate_long(
        self, audio: Float[Tensor, "T A"], start: Float[Tensor, "tau C"], generator: Generator | None
    ) -> Float[Tensor, "T C"]:
        """Generates motion for audio of any length, which begins with the beginning of pose."""
        if self.window is None:
            return self.generate(audio[None], start[None], generator)[0]
        motion, hop = start, self.window - self.bop
        for first in range(0, len(audio) - self.bop, hop):
            part = audio[first : first + self.window]
            part = torch.cat([part, part[-1:].expand(self.window - len(part), -1)])
            motion = torch.cat([motion, self.generate(part[None], motion[None, -self.bop :], generator)[0, self.bop :]])
        return motion[: len(audio)]

    @torch.no_grad()
    def generate_track(self, models: AttributeModels, audio: Float[Tensor, "T A"], seed: int) -> AttributeTrack:
        """Generates the track of new audio, from a beginning of pose in the training frames.

        Models that do not vary begin near the person's mean pose.

        Args:
            models: the person's attribute models.
            audio: f_a.
            seed: random seed.
        """
        generator = torch.Generator().manual_seed(seed)
        tau, motion = self.bop, models.training_motion
        first = draw_beginning(motion, models.training_shot, tau, generator, float(self.varies))
        rows = torch.cat([audio[:1].expand(tau, -1), audio])
        generated = self.generate_long(rows, motion[first : first + tau], generator if self.varies else None)[tau:]
        attributes = models.motion.decode(models.motion.bound(generated))
        return AttributeTrack(*attributes, audio, models.eye_kind, models.audio_kind)


def blend(generated: Float[Tensor, "N T C"], start: Float[Tensor, "N tau C"]) -> Float[Tensor, "N T C"]:
    """Replaces the first tau frames by the beginning of pose, and blends the rest onto it."""
    return blend_onset(generated, start, BLENDING.velocity_decay, BLENDING.position_decay)


class MotionObjective(Objective):
    """Draws random windows of a person's motion; subclasses compute the loss of a batch."""

    motion: Tensor
    audio: Tensor
    shot: Tensor
    weight: Tensor
    speed: Tensor

    def __init__(self, model: MotionModel, train: MotionSequences, length: int) -> None:
        """
        Args:
            model: the model to train.
            train: training frames.
            length: frames of a training window.
        """
        super().__init__()
        self.model, self.length = model, min(length, len(train))
        self.register_data(motion=train.motion, audio=train.audio, shot=train.shot, weight=train.weight)
        self.register_data(speed=reference_speed(train.motion, train.shot))

    def batch(self) -> tuple[Float[Tensor, "N T C"], Float[Tensor, "N T A"]]:
        """Motion and f_a of a batch of windows."""
        frames = random_windows(BATCH_SIZE, self.length, self.shot, self.weight)
        return self.motion[frames], self.audio[frames]


class RegressionObjective(MotionObjective):
    """Mean square error of the motion after the beginning of pose, and of its frame-to-frame change (`sequence_loss`).

    The second term is the inter-frame continuity loss of Yi et al.
    """

    velocity_weight = 0.1

    def training_loss(self, progress: float) -> dict[str, Tensor]:
        """Computes the error of a batch."""
        motion, audio = self.batch()
        tau = self.model.bop
        predicted = self.model.generate(audio, motion[:, :tau])
        return {"prediction": sequence_loss(predicted[:, tau:], motion[:, tau:], self.speed, self.velocity_weight)}


REGRESSION_FIT = FitConfig(steps=200, learning_rate=1e-3)
"""Training options of the models that predict motion by regression; with more steps they memorise a minute of video."""
