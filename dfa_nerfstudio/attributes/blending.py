"""Blends a generated window of motion onto the end of the previous one."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def blend_onset(
    generated: Float[Tensor, "*N T C"],
    beginning: Float[Tensor, "*N tau C"],
    velocity_decay: float,
    position_decay: float,
) -> Float[Tensor, "*N T C"]:
    """Replaces the first tau frames by `beginning` and adjusts the rest so that position and velocity do not jump.

    The generated window does not exactly reproduce its beginning. The difference of positions and of velocities at the
    end of the beginning decays over the frames t after it like an overdamped spring, a exp(-t / velocity_decay) + b
    exp(-t / position_decay). The velocity decays fast. The position decays much more slowly, because the current
    position of a head is by far the best prediction of its next ones.

    Args:
        generated: a decoded window, which includes the beginning.
        beginning: the tau last frames of the previous window, three or more.
        velocity_decay: time constant in frames.
        position_decay: time constant in frames, longer than `velocity_decay`.
    """
    tau, length = beginning.shape[-2], generated.shape[-2]
    gap = beginning[..., -3:, :] - generated[..., tau - 3 : tau, :]
    position, velocity = gap[..., -1:, :], (gap[..., -1:, :] - gap[..., :1, :]) / 2
    time = torch.arange(1, length - tau + 1, device=generated.device, dtype=generated.dtype)[:, None]
    slow = (velocity + position / velocity_decay) / (1 / velocity_decay - 1 / position_decay)
    correction = (position - slow) * torch.exp(-time / velocity_decay) + slow * torch.exp(-time / position_decay)
    return torch.cat([beginning, generated[..., tau:, :] + correction], -2)
