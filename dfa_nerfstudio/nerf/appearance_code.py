"""Per-frame appearance codes: what changes in the video besides the attributes, such as light or a screen behind the
person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dfa_nerfstudio.media.rates import FRAME_RATE

_END_FRAMES = int(2 * FRAME_RATE)
"""Number of last training frames whose mean code is the neutral code (2 s)."""


@dataclass
class AppearanceConfig:
    """Appearance codes of the training frames."""

    dim: int = 8
    """Length of a code; 0 for no codes."""
    interval_seconds: float = 2.0
    """Time between two learned codes, in seconds; frames between them interpolate linearly. With 0 every frame has a
    code of its own: such codes can also encode the frame's lips and eyes, and f_m then has less influence."""
    neutral: Literal["end", "mean"] = "end"
    """Code for held-out frames and for driven heads: the mean code of the last two seconds of the training part, or
    the mean code of all training frames, which is an appearance that may never have occurred."""
    penalty: float = 1e-3
    """Weight of the codes' mean square in the loss, which keeps the codes small."""


class AppearanceCode(nn.Module):
    """Learned codes along the video's time, and a neutral code for everything outside the training frames.

    Example:
        >>> appearance = AppearanceCode(AppearanceConfig(dim=8), torch.arange(100))
        >>> appearance(torch.tensor([0, 40, 99]), 3).shape, appearance(None, 5).shape
        (torch.Size([3, 8]), torch.Size([5, 8]))
    """

    position: Tensor

    def __init__(self, config: AppearanceConfig, train_frames: Int[Tensor, " N"]) -> None:
        """
        Args:
            config: options of the codes.
            train_frames: frame numbers of the training frames in the video, ascending.
        """
        super().__init__()
        self.config = config
        elapsed = train_frames - train_frames[0]
        interval = FRAME_RATE * config.interval_seconds
        position = elapsed / interval if interval else torch.arange(len(elapsed))
        self.register_buffer("position", position.float(), persistent=False)
        self.codes = nn.Parameter(torch.zeros(int(position[-1].ceil()) + 1, config.dim))

    def forward(self, frame: Int[Tensor, " U"] | None, count: int) -> Float[Tensor, "U dim"]:
        """Returns the codes of U frames.

        Args:
            frame: indices of training frames, or None for the neutral code.
            count: U.
        """
        if frame is None:
            total = len(self.position)
            averaged = min(total, _END_FRAMES) if self.config.neutral == "end" else total
            return (
                self._at(torch.arange(total - averaged, total, device=self.position.device)).mean(0).expand(count, -1)
            )
        return self._at(frame)

    def _at(self, frame: Int[Tensor, " U"]) -> Float[Tensor, "U dim"]:
        position = self.position[frame]
        below = position.long()
        above = (below + 1).clamp(max=len(self.codes) - 1)
        return torch.lerp(self.codes[below], self.codes[above], (position - below)[:, None])

    def loss(self) -> Float[Tensor, ""]:
        """Weighted mean square of the codes."""
        return self.config.penalty * self.codes.square().mean()
