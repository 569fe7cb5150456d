"""Marching along rays: samples where something is, and the compositing of what they show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.nerf.field import FieldOutput
from dfa_nerfstudio.nerf.occupancy import OccupancyGrid


@dataclass
class Marched:
    """What R rays met, front to back."""

    rgb: Float[Tensor, "R 3"]
    """Colour weighted by opacity, nothing behind it."""
    accumulation: Float[Tensor, " R"]
    depth: Float[Tensor, " R"]
    """Expected distance along the ray times accumulation."""
    gates: Float[Tensor, "R 2"]
    """Gates of audio and eyes, weighted by opacity."""
    spread: Float[Tensor, " R"]
    """Mean distance between two samples drawn by weight, as a share of the ray's length (mip-NeRF 360's distortion):
    0 for a surface. Within a slab."""
    num_samples: int
    """Samples at which the field was asked."""


def cube_interval(
    origins: Float[Tensor, "R 3"], directions: Float[Tensor, "R 3"]
) -> tuple[Float[Tensor, " R"], Float[Tensor, " R"]]:
    """Distances at which rays enter and leave the cube [-1, 1]^3; equal where they miss it."""
    inverse = 1.0 / torch.where(directions.abs() < 1e-9, 1e-9, directions)
    first, second = (-1 - origins) * inverse, (1 - origins) * inverse
    near = torch.minimum(first, second).amax(-1).clamp(min=1e-3)
    far = torch.maximum(first, second).amin(-1)
    return near, torch.maximum(far, near)


def march(
    origins: Float[Tensor, "R 3"],
    directions: Float[Tensor, "R 3"],
    num_samples: int,
    occupancy: OccupancyGrid | None,
    field: Callable[[Int[Tensor, " S"], Float[Tensor, " S"]], FieldOutput],
    *,
    training: bool,
    slabs: int = 1,
    stop_below: float = 1e-2,
) -> Marched:
    """Stratified samples on the rays' way through the cube [-1, 1]^3; only those in occupied space reach the field.

    Args:
        origins: of the rays, in units of the cube.
        directions: likewise; distances are counted in their length.
        num_samples: samples per ray before empty space is skipped.
        occupancy: where anything can be; None asks the field everywhere.
        field: the field at ray indices and distances.
        training: random positions within the strata instead of their centres, and `occupancy` is told what was seen.
        slabs: the ray is marched in that many pieces; a ray that has become opaque leaves after each.
        stop_below: transmittance at which a ray counts as opaque.
    """
    near, far = cube_interval(origins, directions)
    step = (far - near) / num_samples  # [R]
    transmittance = torch.ones_like(near)
    # rgb, accumulation, depth, gates: composited together in one product per slab.
    total = near.new_zeros(len(near), 7)
    spread = torch.zeros_like(near)
    alive = torch.nonzero(far > near)[:, 0]
    asked = 0
    for stratum in torch.arange(num_samples, device=near.device).chunk(slabs):
        offset = torch.rand(len(alive), len(stratum), device=near.device) if training else 0.5
        distance = near[alive, None] + (stratum + offset) * step[alive, None]  # [r, s]
        cell = None
        keep = torch.ones_like(distance, dtype=torch.bool)
        if occupancy is not None:
            points = origins[alive, None] + distance[..., None] * directions[alive, None]  # [r, s, 3]
            cell = occupancy.cell(points)
            keep = occupancy.occupied[cell]
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
            if training and occupancy is not None and cell is not None:
                occupancy.observe(cell[row, column], weights.detach()[row, column])
            values = torch.cat([output.rgb, torch.ones_like(alpha)[:, None], kept_distance[:, None], output.gates], -1)
            total = total.index_add(0, kept_ray, weights[row, column][:, None] * values)
            spread = spread.index_add(0, alive, _spread(weights, (stratum + 0.5) / num_samples))
            transmittance = transmittance.index_put((alive,), transmittance[alive] * through[:, -1])
        if slabs > 1:
            alive = alive[transmittance[alive] > stop_below]
    return Marched(total[:, :3], total[:, 3], total[:, 4], total[:, 5:], spread, asked)


def _spread(weights: Float[Tensor, "r s"], position: Float[Tensor, " s"]) -> Float[Tensor, " r"]:
    """Sum over pairs of weights times the distance of their positions, in linear time."""
    moment = weights * position
    mass_before, moment_before = weights.cumsum(-1) - weights, moment.cumsum(-1) - moment
    return 2 * (weights * (position * mass_before - moment_before)).sum(-1)
