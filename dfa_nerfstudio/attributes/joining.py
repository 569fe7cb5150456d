"""Laying a new stretch of motion on the end of the one before."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def joined(
    made: Float[Tensor, "*N T C"], beginning: Float[Tensor, "*N tau C"], memory: float
) -> Float[Tensor, "*N T C"]:
    """The same motion, whose first tau frames are exactly `beginning`, without a jump of place or velocity after them.

    What is made over the beginning is not quite the beginning. The difference at its end, e, and that of the velocities
    there, v, die away in the frames t after it as a critically damped spring comes to rest: (e + (v + e / memory) t)
    exp(-t / memory).

    Args:
        made: a decoded window, the beginning within it.
        beginning: tau frames, three or more.
        memory: in frames.
    """
    tau, length = beginning.shape[-2], made.shape[-2]
    gap = beginning[..., -3:, :] - made[..., tau - 3 : tau, :]
    place, velocity = gap[..., -1:, :], (gap[..., -1:, :] - gap[..., :1, :]) / 2
    time = torch.arange(1, length - tau + 1, device=made.device, dtype=made.dtype)[:, None]
    rest = (place + (velocity + place / memory) * time) * torch.exp(-time / memory)
    return torch.cat([beginning, made[..., tau:, :] + rest], -2)
