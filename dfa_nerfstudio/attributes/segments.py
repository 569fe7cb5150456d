"""Windows of frames that follow each other without a cut (`ClipAttributes.shot`)."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def whole_windows(shot: Int[Tensor, " T"], length: int) -> Bool[Tensor, " T-L+1"]:
    """Whether the `length` frames that begin at each frame are of use and of one shot."""
    first, last = shot[: len(shot) - length + 1], shot[length - 1 :]  # shots are numbered in their order
    between = (shot < 0).unfold(0, length, 1).any(-1)
    return (first == last) & ~between


def random_windows(
    count: int, length: int, shot: Int[Tensor, " T"], weight: Float[Tensor, " T"] | None = None
) -> Int[Tensor, "N L"]:
    """Frame numbers of `count` random windows of consecutive frames within one shot (any, where no shot is as long).

    Args:
        count: N.
        length: L.
        shot: of all frames.
        weight: how often a window begins at a frame, if not equally often.
    """
    whole = whole_windows(shot, length)
    chance = whole.float() if whole.any() else torch.ones_like(whole, dtype=torch.float32)
    if weight is not None:
        chance = chance * weight[: len(chance)]
    starts = torch.multinomial(chance, count, replacement=True)[:, None]
    return starts + torch.arange(length, device=shot.device)


def stretches(shot: Int[Tensor, " T"]) -> list[slice]:
    """The runs of frames of one shot."""
    edges = [0, *(torch.nonzero(shot.diff()).flatten() + 1).tolist(), len(shot)]
    return [slice(a, b) for a, b in pairwise(edges) if a < b and shot[a] >= 0]
