"""A learned condition that stands for a closed mouth, for fields that are conditioned on an audio feature."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


@dataclass
class ClosedMouthConfig:
    """How the closed-mouth embedding is trained."""

    probability: float = 0.25
    """Probability with which a training frame with closed lips is conditioned on the embedding."""


class ClosedMouthEmbedding(nn.Module):
    """Replaces the audio feature of training frames with closed lips by one learned embedding, at random.

    Driving uses the embedding where nobody speaks. It is needed because no audio feature stands for closed lips:
    people pause with their lips apart and close them while they speak. Without it the field renders average lips in
    silence. Lips f_m do not need it, because closed lips are a lip shape.
    """

    closed_frames: Tensor

    def __init__(
        self, config: ClosedMouthConfig, mouth: Float[Tensor, "N M"], closed_frames: Bool[Tensor, " N"]
    ) -> None:
        """
        Args:
            config: options.
            mouth: standardised audio features of the training frames.
            closed_frames: training frames with closed lips, at least one.
        """
        super().__init__()
        self.config = config
        # Its norm is the median norm of audio features, because features near their mean are those of a new voice and
        # of smoothed lips.
        mean = mouth[closed_frames].mean(0)
        self.code = nn.Parameter(mean * mouth.norm(dim=-1).median() / mean.norm().clamp(min=1e-6))
        self.register_buffer("closed_frames", closed_frames, persistent=False)

    def forward(self, mouth: Float[Tensor, "U M"], frame: Int[Tensor, " U"] | None) -> Float[Tensor, "U M"]:
        """Returns the audio features that the field is conditioned on in U frames.

        Args:
            mouth: standardised audio features.
            frame: index of the training frame of each row, while training.
        """
        if frame is None or not self.training:
            return mouth
        replaced = self.closed_frames[frame] & (torch.rand(len(frame), device=mouth.device) < self.config.probability)
        return torch.where(replaced[:, None], self.code, mouth)
