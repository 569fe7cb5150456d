"""What is peculiar to a moment of the film beside the attributes: the light, or a screen behind the person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dfa_nerfstudio.media.rates import FRAME_RATE

_END = int(2 * FRAME_RATE)
"""Frames that count as the end of the film."""


@dataclass
class AppearanceConfig:
    """Codes of the training frames."""

    dim: int = 8
    """Numbers per frame; 0 for none."""
    seconds: float = 2.0
    """Distance of the codes that are learned; frames between two of them have a mixture. 0 gives every frame a code of
    its own, which can then hold its lips and eyes as well, and what should move them is listened to less."""
    neutral: Literal["end", "mean"] = "end"
    """What is shown when the head is driven, and of frames that are held out: how the film looked in the last two
    seconds of its training part, or the mean of all frames, which may never have been seen."""
    penalty: float = 1e-3
    """Weight of the codes' mean square in the loss: a code says no more than it must."""


class Appearance(nn.Module):
    """Codes that follow the film's time, and a neutral one for everything that is not trained on.

    Example:
        >>> appearance = Appearance(AppearanceConfig(dim=8), torch.arange(100))
        >>> appearance(torch.tensor([0, 40, 99]), 3).shape, appearance(None, 5).shape
        (torch.Size([3, 8]), torch.Size([5, 8]))
    """

    place: Tensor

    def __init__(self, config: AppearanceConfig, train_frames: Int[Tensor, " N"]) -> None:
        """
        Args:
            config: codes.
            train_frames: numbers of the training frames in the film, rising.
        """
        super().__init__()
        self.config = config
        first = train_frames - train_frames[0]
        place = first / (FRAME_RATE * config.seconds) if config.seconds else torch.arange(len(first))
        self.register_buffer("place", place.float(), persistent=False)
        self.codes = nn.Parameter(torch.zeros(int(place[-1].ceil()) + 1, config.dim))

    def forward(self, frame: Int[Tensor, " U"] | None, count: int) -> Float[Tensor, "U dim"]:
        """
        Args:
            frame: indices of training frames, or None for the neutral code.
            count: U.
        """
        if frame is None:
            number = len(self.place)
            shown = min(number, _END) if self.config.neutral == "end" else number
            return self._at(torch.arange(number - shown, number, device=self.place.device)).mean(0).expand(count, -1)
        return self._at(frame)

    def _at(self, frame: Int[Tensor, " U"]) -> Float[Tensor, "U dim"]:
        place = self.place[frame]
        below = place.long()
        above = (below + 1).clamp(max=len(self.codes) - 1)
        return torch.lerp(self.codes[below], self.codes[above], (place - below)[:, None])

    def loss(self) -> Float[Tensor, ""]:
        """The penalty."""
        return self.config.penalty * self.codes.square().mean()
