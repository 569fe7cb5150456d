"""Samples and weights in plain torch: the reference."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.nerf.marching.occupancy_grid import OccupancyGrid

_MAX_OPTICAL_DEPTH = 50.0
"""Optical depth to which samples are clamped: exp(-50) is negligible, and the sums below stay exact."""


def sample(
    origins: Float[Tensor, "R 3"],
    directions: Float[Tensor, "R 3"],
    near: Float[Tensor, " R"],
    step: Float[Tensor, " R"],
    strata: tuple[int, int],
    occupancy: OccupancyGrid | None,
    *,
    jitter: bool,
) -> tuple[Int[Tensor, " S"], Float[Tensor, " S"]]:
    """Places one sample per stratum and keeps those in occupied space.

    Args:
        origins: ray origins in units of the cube [-1, 1]^3.
        directions: ray directions in units of the cube; distances are multiples of their length.
        near: distance at which a ray's first stratum begins.
        step: length of a ray's strata.
        strata: index of the first stratum, and the index after the last.
        occupancy: cells that samples must lie in; None keeps all samples.
        jitter: whether samples lie at random positions within the strata instead of in their middle.

    Returns:
        ray index and distance of each sample, ray by ray, front to back.
    """
    stratum = torch.arange(*strata, device=near.device)
    offset = torch.rand(len(near), len(stratum), device=near.device) if jitter else 0.5
    distance = near[:, None] + (stratum + offset) * step[:, None]  # [R, strata]
    keep = torch.ones_like(distance, dtype=torch.bool)
    if occupancy is not None:
        points = origins[:, None] + distance[..., None] * directions[:, None]  # [R, strata, 3]
        keep = occupancy.occupied[occupancy.cell(points)]
    return torch.nonzero(keep)[:, 0], distance[keep]


def compute_weights(optical_depth: Float[Tensor, " S"], ray: Int[Tensor, " S"], num_rays: int) -> Float[Tensor, " S"]:
    """Computes each sample's weight in its ray's colour: its opacity times the transmittance of the samples before it.

    Args:
        optical_depth: optical depth of each sample, density times length.
        ray: ray index of each sample, ascending.
        num_rays: number of rays.
    """
    depth = optical_depth.double().clamp(max=_MAX_OPTICAL_DEPTH)
    before = depth.cumsum(0) - depth
    counts = torch.bincount(ray, minlength=num_rays)
    first = (counts.cumsum(0) - counts).clamp(max=max(len(ray) - 1, 0))  # first sample of each ray
    return (torch.exp(before[first][ray] - before) * -torch.expm1(-depth)).to(optical_depth.dtype)
