"""Marching along rays: samples where something is, and the compositing of what they show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dfa_nerfstudio.nerf.field import FieldOutput


@dataclass
class Marched:
    """What R rays met, front to back."""

    rgb: Float[Tensor, "R 3"]
    """Colour weighted by opacity, nothing behind it."""
    accumulation: Float[Tensor, " R"]
    depth: Float[Tensor, " R"]
    """Expected distance along the ray times accumulation."""
    audio_gate: Float[Tensor, " R"]
    """Audio gate weighted by opacity."""
    spread: Float[Tensor, " R"]
    """Mean distance between two samples drawn by weight, as a share of the ray's length (mip-NeRF 360's distortion):
    0 for a surface. Within a slab."""
    num_samples: int
    """Samples at which the field was asked."""


def box_interval(
    origins: Float[Tensor, "R 3"],
    directions: Float[Tensor, "R 3"],
    lower: Float[Tensor, 3],
    upper: Float[Tensor, 3],
) -> tuple[Float[Tensor, " R"], Float[Tensor, " R"]]:
    """Distances at which rays enter and leave a box; equal where they miss it."""
    inverse = 1.0 / torch.where(directions.abs() < 1e-9, 1e-9, directions)
    first, second = (lower - origins) * inverse, (upper - origins) * inverse
    near = torch.minimum(first, second).amax(-1).clamp(min=1e-3)
    far = torch.maximum(first, second).amin(-1)
    return near, torch.maximum(far, near)


def march(
    near: Float[Tensor, " R"],
    far: Float[Tensor, " R"],
    num_samples: int,
    occupied: Callable[[Int[Tensor, " S"], Float[Tensor, " S"]], Bool[Tensor, " S"]],
    field: Callable[[Int[Tensor, " S"], Float[Tensor, " S"]], FieldOutput],
    *,
    jitter: bool,
    observe: Callable[[Int[Tensor, " S"], Float[Tensor, " S"], Float[Tensor, " S"]], None] | None = None,
    slabs: int = 1,
    stop_below: float = 1e-2,
) -> Marched:
    """Stratified samples between `near` and `far`; only those in occupied space reach the field.

    Args:
        near: where each ray starts.
        far: where it ends.
        num_samples: samples per ray before empty space is skipped.
        occupied: from ray indices and distances, whether anything can be there.
        field: the field at ray indices and distances.
        jitter: random positions within the strata (training) instead of their centres.
        observe: told the ray indices, distances and weights of the samples.
        slabs: the ray is marched in that many pieces; a ray that has become opaque leaves after each.
        stop_below: transmittance at which a ray counts as opaque.
    """
    rays = len(near)
    device = near.device
    step = (far - near) / num_samples  # [R]
    transmittance = near.new_ones(rays)
    # rgb, accumulation, depth, audio gate: composited together in one product per slab.
    total = near.new_zeros(rays, 6)
    spread = near.new_zeros(rays)
    alive = torch.nonzero(far > near)[:, 0]
    asked = 0
    for stratum in torch.arange(num_samples, device=device).chunk(slabs):
        offset = torch.rand(len(alive), len(stratum), device=device) if jitter else 0.5
        distance = near[alive, None] + (stratum + offset) * step[alive, None]  # [r, s]
        ray = alive[:, None].expand_as(distance)
        keep = occupied(ray.flatten(), distance.flatten()).view_as(distance)
        row, column = torch.nonzero(keep, as_tuple=True)
        asked += len(row)
        if len(row):
            kept_ray, kept_distance = alive[row], distance[row, column]
            output = field(kept_ray, kept_distance)
            alpha = 1 - torch.exp(-output.density * step[kept_ray])
            dense = torch.zeros_like(distance).index_put((row, column), alpha)  # [r, s]
            through = torch.cumprod(1 - dense + 1e-10, dim=-1)
            before = torch.cat([torch.ones_like(through[:, :1]), through[:, :-1]], dim=-1) * transmittance[alive, None]
            weights = dense * before  # [r, s]
            weight = weights[row, column]  # [S]
            spread = spread.index_put((alive,), spread[alive] + _spread(weights, (stratum + 0.5) / num_samples))
            if observe is not None:
                observe(kept_ray, kept_distance, weight.detach())
            values = torch.cat(
                [output.rgb, torch.ones_like(alpha)[:, None], kept_distance[:, None], output.audio_gate[:, None]], -1
            )
            total = total.index_add(0, kept_ray, weight[:, None] * values)
            transmittance = transmittance.index_put((alive,), transmittance[alive] * through[:, -1])
        if slabs > 1:
            alive = alive[transmittance[alive] > stop_below]
    return Marched(total[:, :3], total[:, 3], total[:, 4], total[:, 5], spread, asked)


def _spread(weights: Float[Tensor, "r s"], position: Float[Tensor, " s"]) -> Float[Tensor, " r"]:
    """Sum over pairs of weights times the distance of their positions, in linear time."""
    moment = weights * position
    mass_before, moment_before = weights.cumsum(-1) - weights, moment.cumsum(-1) - moment
    return 2 * (weights * (position * mass_before - moment_before)).sum(-1)
