"""What of a motion is slow and what is quick."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

LAG = 6
"""Frames over which change is compared: a quarter of a second."""


def slow_features(motion: Float[Tensor, "T C"], shot: Int[Tensor, " T"], count: int) -> Float[Tensor, "Z C"]:
    """Linear features of unit variance, uncorrelated with each other, from the quickest to the slowest.

    Slow feature analysis (Wiskott and Sejnowski, 2002): among all directions of unit variance those that change most,
    and least, within `LAG` frames.

    Args:
        motion: of zero mean.
        shot: cuts, over which nothing is compared.
        count: Z, at most C; directions of the least variance are left out.
    """
    values = motion.double()
    change = (values[LAG:] - values[:-LAG])[shot[LAG:] == shot[:-LAG]]
    variance, axes = torch.linalg.eigh(values.T @ values / len(values))
    white = axes[:, -count:] / variance[-count:].clamp(min=1e-4 * float(variance[-1])).sqrt()  # [C, Z]
    _, turned = torch.linalg.eigh(white.T @ (change.T @ change / max(len(change), 1)) @ white)
    return (white @ turned.flip(1)).T.to(motion)
