"""What the field is told where the mouth is to be shut."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


@dataclass
class ShutMouthConfig:
    """How a shut mouth is learnt."""

    share: float = 0.25
    """How often, while training, a frame whose lips are together is told the feature of a shut mouth, not its sound."""


class ShutMouth(nn.Module):
    """An audio feature of its own for lips that are together.

    No sound stands for them: people pause with lips apart, and shut them while they speak. What a field makes of
    silence is the mean of the lips it was seen with. So frames whose lips are together tell it in the place of their
    sound, now and then, one feature that is learnt with the field, and that driving takes where nobody speaks.
    """

    shut: Tensor

    def __init__(self, config: ShutMouthConfig, audio: Float[Tensor, "N A"], shut: Bool[Tensor, " N"]) -> None:
        """
        Args:
            config: options.
            audio: what the field hears in the training frames, standardised.
            shut: those in which the lips are together, at least one.
        """
        super().__init__()
        self.config = config
        # As far out as sounds are: about their mean lies what the field hears of a new voice, and of lips smoothed.
        middle = audio[shut].mean(0)
        self.code = nn.Parameter(middle * audio.norm(dim=-1).median() / middle.norm().clamp(min=1e-6))
        self.register_buffer("shut", shut, persistent=False)

    def forward(self, audio: Float[Tensor, "U A"], frame: Int[Tensor, " U"] | None) -> Float[Tensor, "U A"]:
        """What the field hears in U moments.

        Args:
            audio: standardised.
            frame: which training frame each is, while training.
        """
        if frame is None or not self.training:
            return audio
        told = self.shut[frame] & (torch.rand(len(frame), device=audio.device) < self.config.share)
        return torch.where(told[:, None], self.code, audio)
