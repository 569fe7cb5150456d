"""Detects blinks in a person's eye opening and collects their shapes and intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.segments import padded_windows
from dfa_nerfstudio.face.eye_aperture import find_blinks
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.media.timeline import Timeline

HALF_WIDTH = 12
"""Half width in frames of a blink's shape, and of the window of the resting level."""


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
        """Detects the blinks, as `dfa-process` does.

        Args:
            opening: eye opening of consecutive frames, 0 closed to 1 open. Without blinks there are no shapes.
        """
        level = resting_level(opening)
        closure = (1 - opening / level.clamp(min=1e-3)).clamp(0, 1)  # [T, 2]
        deepest = _apexes(opening)
        shapes = [_blink_shape(closure, deepest, number) for number in range(len(deepest))]
        low, high = torch.quantile(level, torch.tensor([0.05, 0.95]).to(level))
        return cls(
            torch.stack(shapes) if shapes else opening.new_zeros(0, 2 * HALF_WIDTH + 1, 2),
            _cyclic_intervals(deepest, len(opening)),
            (float(low), float(high)),
        )


def resting_level(opening: Float[Tensor, "T 2"]) -> Float[Tensor, "T 2"]:
    """Computes the eye opening between blinks: the smoothed running 80th percentile over +-`HALF_WIDTH` frames. A value
    depends on 2 `HALF_WIDTH` frames to either side."""
    window = HALF_WIDTH, 2 * HALF_WIDTH + 1
    level = torch.quantile(padded_windows(opening, *window), 0.8, dim=-1)  # [T, 2]
    return padded_windows(level, *window).mean(-1)


def _apexes(opening: Float[Tensor, "T 2"]) -> list[int]:
    """Frames in which the eyes are most closed, one for each blink."""
    count = len(opening)
    blinks = find_blinks(opening.numpy(force=True), np.ones(count, bool), Timeline.from_cuts(count, count))
    return (blinks[:, 1] * FRAME_RATE).round().astype(int).tolist()


def _blink_shape(closure: Float[Tensor, "T 2"], deepest: list[int], number: int) -> Float[Tensor, "2*HALF_WIDTH+1 2"]:
    """Closure around one blink, 0 from where the eyes are most open between it and its neighbours."""
    t, both = deepest[number], closure.mean(-1)
    alone = closure.clone()
    if number:
        before = deepest[number - 1]
        alone[: before + int(both[before:t].argmin())] = 0
    if number + 1 < len(deepest):
        after = deepest[number + 1]
        alone[t + int(both[t:after].argmin()) + 1 :] = 0
    padded = torch.cat([closure.new_zeros(HALF_WIDTH, 2), alone, closure.new_zeros(HALF_WIDTH, 2)])
    fade = (1.4 * torch.cos(torch.linspace(-1, 1, 2 * HALF_WIDTH + 1) * torch.pi / 2)).clamp(0, 1)[:, None]
    return padded[t : t + 2 * HALF_WIDTH + 1] * fade


def _cyclic_intervals(times: list[int], length: int) -> Float[Tensor, " K"]:
    """Intervals between events in frames. The last event is followed by the first, as if the recording were repeated,
    so that the rate is that of the recording."""
    if not times:
        return torch.zeros(0)
    frames = torch.tensor(times, dtype=torch.float32)
    return torch.cat([frames.diff(), frames[:1] + length - frames[-1:]])
