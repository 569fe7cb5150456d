"""Detects blinks in a person's eye opening and collects their shapes and intervals."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.segments import padded_windows

OPEN_SHARE = 0.5
"""Share of the resting level below which the mean opening of both eyes must fall in a blink."""
HALF_WIDTH = 12
"""Half width in frames of a blink's shape, and of the window of the resting level."""
PEAK_DISTANCE = 5
"""Frames to each side of a blink within which no deeper closure occurs."""


@dataclass
class BlinkStatistics:
    """Blinks and resting level of a person's eye opening in the training frames.

    `opening = resting level * (1 - closure)`: the resting level changes slowly, the closures are the blinks.
    """

    shapes: Float[Tensor, "K 2*HALF_WIDTH+1 2"]
    """Closure of each eye around each blink, 0 at rest to 1 closed."""
    intervals: Float[Tensor, " K"]
    """Intervals between blinks in frames, one for each shape; their sum is the number of training frames."""
    resting_range: tuple[float, float]
    """5th and 95th percentile of the resting level."""

    @classmethod
    def from_opening(cls, opening: Float[Tensor, "T 2"]) -> BlinkStatistics:
        """Detects the blinks.

        Args:
            opening: eye opening of consecutive frames, 0 closed to 1 open. Without blinks there are no shapes.
        """
        level = resting_level(opening)
        closure = (1 - opening / level.clamp(min=1e-3)).clamp(0, 1)  # [T, 2]
        both = closure.mean(-1)
        deepest = [
            t
            for t in range(len(both))
            if both[t] > 1 - OPEN_SHARE
            and both[t] == both[max(0, t - PEAK_DISTANCE) : t + PEAK_DISTANCE + 1].max()
            and (t == 0 or both[t - 1] < both[t])
        ]
        padded = torch.cat([closure.new_zeros(HALF_WIDTH, 2), closure, closure.new_zeros(HALF_WIDTH, 2)])
        # A window that falls to zero at its ends removes other blinks from a shape.
        fade = (1.4 * torch.cos(torch.linspace(-1, 1, 2 * HALF_WIDTH + 1) * torch.pi / 2)).clamp(0, 1)[:, None]
        shapes = [padded[t : t + 2 * HALF_WIDTH + 1] * fade for t in deepest]
        low, high = torch.quantile(level, torch.tensor([0.05, 0.95]).to(level))
        return cls(
            torch.stack(shapes) if shapes else opening.new_zeros(0, 2 * HALF_WIDTH + 1, 2),
            _cyclic_intervals(deepest, len(both)),
            (float(low), float(high)),
        )


def resting_level(opening: Float[Tensor, "T 2"]) -> Float[Tensor, "T 2"]:
    """Computes the eye opening between blinks: the smoothed running 80th percentile over +-`HALF_WIDTH` frames. A value
    depends on 2 `HALF_WIDTH` frames to either side."""
    window = HALF_WIDTH, 2 * HALF_WIDTH + 1
    level = torch.quantile(padded_windows(opening, *window), 0.8, dim=-1)  # [T, 2]
    return padded_windows(level, *window).mean(-1)


def _cyclic_intervals(times: list[int], length: int) -> Float[Tensor, " K"]:
    """Intervals between events in frames. The last event is followed by the first, as if the recording were repeated,
    so that the rate is that of the recording."""
    if not times:
        return torch.zeros(0)
    frames = torch.tensor(times, dtype=torch.float32)
    return torch.cat([frames.diff(), frames[:1] + length - frames[-1:]])
