"""Slow feature analysis of motion."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

LAG = 6
"""Frames over which change is measured: a quarter of a second."""


def slow_features(motion: Float[Tensor, "T C"], shot: Int[Tensor, " T"], count: int) -> Float[Tensor, "Z C"]:
    """Computes weights of linear features of unit variance that are uncorrelated, from the fastest to the slowest.

    Slow feature analysis (Wiskott and Sejnowski, 2002): the directions of unit variance, ordered by their change over
    `LAG` frames.

    Args:
        motion: motion of zero mean.
        shot: shot number of each frame; changes are measured within shots.
        count: number of features Z, at most C; the directions of least variance are omitted.
    """
    values = motion.double()
    change = (values[LAG:] - values[:-LAG])[shot[LAG:] == shot[:-LAG]]
    variance, axes = torch.linalg.eigh(values.T @ values / len(values))
    white = axes[:, -count:] / variance[-count:].clamp(min=1e-4 * float(variance[-1])).sqrt()  # [C, Z]
    _, rotation = torch.linalg.eigh(white.T @ (change.T @ change / max(len(change), 1)) @ white)
    return (white @ rotation.flip(1)).T.to(motion)
