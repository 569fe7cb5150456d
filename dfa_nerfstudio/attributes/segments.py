"""Windows of consecutive frames, within one shot (`ClipAttributes.shot`) or extended at the ends of a recording."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor


def padded_windows(
    values: Shaped[Tensor, "T ..."], before: int, length: int, every: int = 1
) -> Shaped[Tensor, "N ... length"]:
    """The windows around every `every`-th row of a sequence, whose ends are extended by their first and last row.

    The result is a view, so that no window is copied. `media.chunks.sliding_windows` computes the same of a stream.

    Args:
        values: the sequence.
        before: rows of a window that precede its own row.
        length: rows of a window.
        every: rows from one window's own row to the next's; there are T // every windows.

    Example:
        >>> padded_windows(torch.arange(4), 1, 3).tolist()
        [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]]
    """
    first, last = (row.expand(count, *row.shape[1:]) for row, count in ((values[:1], before), (values[-1:], length)))
    return torch.cat([first, values, last]).unfold(0, length, every)[: len(values) // every]


def windows_within_shot(shot: Int[Tensor, " T"], length: int) -> Bool[Tensor, " T-L+1"]:
    """Whether the `length` frames that begin at each frame are all valid and of one shot."""
    first, last = shot[: len(shot) - length + 1], shot[length - 1 :]  # shots are numbered in their order
    invalid = (shot < 0).unfold(0, length, 1).any(-1)
    return (first == last) & ~invalid


def random_windows(
    count: int, length: int, shot: Int[Tensor, " T"], weight: Float[Tensor, " T"] | None = None
) -> Int[Tensor, "N L"]:
    """Draws windows of consecutive frames within one shot (anywhere, if no shot is that long) and returns their frame
    indices.

    Args:
        count: number of windows N.
        length: frames per window L.
        shot: shot number of each frame.
        weight: relative probability that a window begins at each frame; uniform if None.
    """
    allowed = windows_within_shot(shot, length)
    probability = allowed.float() if allowed.any() else torch.ones_like(allowed, dtype=torch.float32)
    if weight is not None:
        probability = probability * weight[: len(probability)]
    starts = torch.multinomial(probability, count, replacement=True)[:, None]
    return starts + torch.arange(length, device=shot.device)


def shot_segments(shot: Int[Tensor, " T"]) -> list[slice]:
    """The segments of valid frames that belong to one shot."""
    edges = [0, *(torch.nonzero(shot.diff()).flatten() + 1).tolist(), len(shot)]
    return [slice(a, b) for a, b in pairwise(edges) if a < b and shot[a] >= 0]
