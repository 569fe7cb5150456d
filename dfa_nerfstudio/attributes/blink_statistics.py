"""Blinks as events in a person's eye opening."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

CLOSING = 0.5
"""A blink is where the mean opening of both eyes falls below this share of what it was around."""
REACH = 12
"""A blink's shape spans so many frames to each side of its deepest one, and so does what rests around it."""


@dataclass
class BlinkHabits:
    """How a person blinks, as seen in the training frames.

    `opening = resting level * (1 - closure)`: the resting level moves slowly, the closures are the events.
    """

    shapes: Float[Tensor, "K 2*REACH+1 2"]
    """Closure of each eye around each blink, 0 at rest to 1 closed."""
    intervals: Float[Tensor, " K"]
    """Frames between blinks, one for each shape; they add up to the length of the training part."""
    resting: tuple[float, float]
    """5th and 95th percentile of the resting level."""

    @classmethod
    def of(cls, opening: Float[Tensor, "T 2"]) -> BlinkHabits:
        """Finds the blinks.

        Args:
            opening: 0 closed to 1 open, of consecutive frames. A person who never blinks has no shapes.
        """
        level = resting_level(opening)
        closure = (1 - opening / level.clamp(min=1e-3)).clamp(0, 1)  # [T, 2]
        both = closure.mean(-1)
        deepest = [
            t
            for t in range(len(both))
            if both[t] > 1 - CLOSING
            and both[t] == both[max(0, t - 5) : t + 6].max()
            and (t == 0 or both[t - 1] < both[t])
        ]
        padded = torch.cat([closure.new_zeros(REACH, 2), closure, closure.new_zeros(REACH, 2)])
        # Other events are cut from a shape by a window that falls to zero towards its ends.
        fade = (1.4 * torch.cos(torch.linspace(-1, 1, 2 * REACH + 1) * torch.pi / 2)).clamp(0, 1)[:, None]
        shapes = [padded[t : t + 2 * REACH + 1] * fade for t in deepest]
        spread = torch.quantile(level, torch.tensor([0.05, 0.95]).to(level))
        return cls(
            torch.stack(shapes) if shapes else opening.new_zeros(0, 2 * REACH + 1, 2),
            _gaps(deepest, len(both)),
            (float(spread[0]), float(spread[1])),
        )


def resting_level(opening: Float[Tensor, "T 2"]) -> Float[Tensor, "T 2"]:
    """How far the eyes are open apart from blinks: the smoothed running 80th percentile over +-`REACH` frames. It knows
    of 2 `REACH` frames to either side."""
    padded = torch.cat([opening[:1].expand(REACH, -1), opening, opening[-1:].expand(REACH, -1)])
    level = torch.quantile(padded.unfold(0, 2 * REACH + 1, 1), 0.8, dim=-1)  # [T, 2]
    padded = torch.cat([level[:1].expand(REACH, -1), level, level[-1:].expand(REACH, -1)])
    return padded.unfold(0, 2 * REACH + 1, 1).mean(-1)


def _gaps(deepest: list[int], length: int) -> Float[Tensor, " K"]:
    """Intervals between events, with the two ends of the recording joined into one: the rate is the recording's."""
    if not deepest:
        return torch.zeros(0)
    frames = torch.tensor(deepest, dtype=torch.float32)
    return torch.cat([frames.diff(), frames[:1] + length - frames[-1:]])
