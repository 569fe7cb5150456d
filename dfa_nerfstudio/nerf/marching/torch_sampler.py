"""Samples and their weights by plain torch: the reference."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.nerf.marching.occupancy_grid import OccupancyGrid

_OPAQUE = 50.0
"""Optical thickness beyond which more makes no difference; the sums below stay exact."""


def place(
    origins: Float[Tensor, "R 3"],
    directions: Float[Tensor, "R 3"],
    near: Float[Tensor, " R"],
    step: Float[Tensor, " R"],
    strata: tuple[int, int],
    occupancy: OccupancyGrid | None,
    *,
    jitter: bool,
) -> tuple[Int[Tensor, " S"], Float[Tensor, " S"]]:
    """Samples in occupied space.

    Args:
        origins: in units of the cube [-1, 1]^3.
        directions: likewise.
        near: where a ray's first stratum begins.
        step: length of a ray's strata.
        strata: first stratum, and the one after the last.
        occupancy: None for everywhere.
        jitter: anywhere within the strata instead of in their middle.

    Returns:
        ray and distance of each sample, ray by ray, front to back.
    """
    stratum = torch.arange(*strata, device=near.device)
    offset = torch.rand(len(near), len(stratum), device=near.device) if jitter else 0.5
    distance = near[:, None] + (stratum + offset) * step[:, None]  # [R, strata]
    keep = torch.ones_like(distance, dtype=torch.bool)
    if occupancy is not None:
        points = origins[:, None] + distance[..., None] * directions[:, None]  # [R, strata, 3]
        keep = occupancy.occupied[occupancy.cell(points)]
    return torch.nonzero(keep)[:, 0], distance[keep]


def weigh(thickness: Float[Tensor, " S"], ray: Int[Tensor, " S"], count: int) -> Float[Tensor, " S"]:
    """How much each sample counts in its ray's colour: its opacity times what the samples before it let through.

    Args:
        thickness: optical, density times length.
        ray: of each sample, rising.
        count: number of rays.
    """
    own = thickness.double().clamp(max=_OPAQUE)
    before = own.cumsum(0) - own
    samples = torch.bincount(ray, minlength=count)
    first = (samples.cumsum(0) - samples).clamp(max=max(len(ray) - 1, 0))  # of each ray
    return (torch.exp(before[first][ray] - before) * -torch.expm1(-own)).to(thickness.dtype)
