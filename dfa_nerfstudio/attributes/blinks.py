"""Blinks as events: found in a person's eye opening, and put into a generated one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

CLOSING = 0.5
"""A blink is where the mean opening of both eyes falls below this share of what it was around."""
REACH = 12
"""A blink's shape spans so many frames to each side of its deepest one."""


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


def resting_level(opening: Float[Tensor, "T 2"], reach: int = 12) -> Float[Tensor, "T 2"]:
    """How far the eyes are open apart from blinks: the smoothed running 80th percentile over +-`reach` frames."""
    padded = torch.cat([opening[:1].expand(reach, -1), opening, opening[-1:].expand(reach, -1)])
    level = torch.quantile(padded.unfold(0, 2 * reach + 1, 1), 0.8, dim=-1)  # [T, 2]
    padded = torch.cat([level[:1].expand(reach, -1), level, level[-1:].expand(reach, -1)])
    return padded.unfold(0, 2 * reach + 1, 1).mean(-1)


def with_blinks(
    opening: Float[Tensor, "T 2"], habits: BlinkHabits, generator: torch.Generator, temperature: float = 1.0
) -> Float[Tensor, "T 2"]:
    """Turns the dips of a generated eye opening into this person's blinks.

    A motion model trained on a minute of film closes the eyes half, twice in a row, or not for a while. What it knows
    is the resting level and roughly when: so the level is kept, blinks come at intervals drawn from the person's own,
    each moved to the deepest dip that the model made within half a second of it, and each closes as one of the
    person's own blinks did. At temperature 0 the intervals are all the mean one.
    """
    low, high = habits.resting
    level = resting_level(opening).clamp(low, high)
    if len(habits.shapes) == 0:
        return level
    dips = opening.mean(-1)
    closure = torch.zeros_like(opening)
    mean_gap = float(habits.intervals.mean())

    def gap() -> float:
        drawn = float(habits.intervals[int(torch.randint(len(habits.intervals), (), generator=generator))])
        return max(2.0, mean_gap + min(1.0, temperature) * (drawn - mean_gap))

    planned, last = gap() * float(torch.rand((), generator=generator)), -REACH
    while planned < len(opening):
        first, end = max(int(planned) - 12, last + REACH, 0), min(int(planned) + 13, len(opening))
        if first < end:
            last = first + int(dips[first:end].argmin())
            shape = habits.shapes[int(torch.randint(len(habits.shapes), (), generator=generator))]
            begin, stop = max(last - REACH, 0), min(last + REACH + 1, len(opening))
            piece = shape[begin - last + REACH : stop - last + REACH]
            closure[begin:stop] = torch.maximum(closure[begin:stop], piece)
        planned += gap()
    return level * (1 - closure)


def _gaps(deepest: list[int], length: int) -> Float[Tensor, " K"]:
    """Intervals between events, with the two ends of the recording joined into one: the rate is the recording's."""
    if not deepest:
        return torch.zeros(0)
    frames = torch.tensor(deepest, dtype=torch.float32)
    return torch.cat([frames.diff(), frames[:1] + length - frames[-1:]])
