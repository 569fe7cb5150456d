"""Laying a new stretch of motion on the end of the one before."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def joined(
    made: Float[Tensor, "*N T C"], beginning: Float[Tensor, "*N tau C"], momentum: float, memory: float
) -> Float[Tensor, "*N T C"]:
    """The same motion, whose first tau frames are exactly `beginning`, without a jump of place or velocity after them.

    What is made over the beginning is not quite the beginning. The difference at its end and that of the velocities
    there die away in the frames t after it as an overdamped spring comes to rest, a exp(-t / momentum) + b
    exp(-t / memory): soon the velocity, much later what it and the first difference have led to, for the place that a
    head has got to is by far the best guess of where it will be.

    Args:
        made: a decoded window, the beginning within it.
        beginning: tau frames, three or more.
        momentum: in frames.
        memory: in frames, longer than `momentum`.
    """
    tau, length = beginning.shape[-2], made.shape[-2]
    gap = beginning[..., -3:, :] - made[..., tau - 3 : tau, :]
    place, velocity = gap[..., -1:, :], (gap[..., -1:, :] - gap[..., :1, :]) / 2
    time = torch.arange(1, length - tau + 1, device=made.device, dtype=made.dtype)[:, None]
    slow = (velocity + place / momentum) / (1 / momentum - 1 / memory)
    rest = (place - slow) * torch.exp(-time / momentum) + slow * torch.exp(-time / memory)
    return torch.cat([beginning, made[..., tau:, :] + rest], -2)
