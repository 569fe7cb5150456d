"""Marching along rays: samples where something is, and the compositing of what they show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.nerf.conditioned_field import FieldOutput
from dfa_nerfstudio.nerf.marching.marching_backends import Marcher, marching
from dfa_nerfstudio.nerf.marching.occupancy_grid import OccupancyGrid


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
    num_samples: int | Int[Tensor, ""]
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
    backend: Marcher = "auto",
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
        backend: what places and weighs the samples.
    """
    place, weigh = marching(backend, origins.device)
    near, far = cube_interval(origins, directions)
    step = (far - near) / num_samples  # [R]
    transmittance = torch.ones_like(near)
    # rgb, accumulation, depth, gates: composited together in one sum per slab
    total = near.new_zeros(len(near), 7)
    alive = torch.nonzero(far > near)[:, 0]
    asked = 0
    for strata in torch.arange(num_samples).chunk(slabs):
        rays = (values[alive] for values in (origins, directions, near, step))
        row, distance = place(*rays, (int(strata[0]), int(strata[-1]) + 1), occupancy, jitter=training)
        asked += len(row)
        if len(row):
            ray = alive[row]
            output = field(ray, distance)
            thickness = output.density.float() * step[ray]
            weights = weigh(thickness, row, len(alive)) * transmittance[ray]
            if training and occupancy is not None:
                points = torch.addcmul(origins[ray], distance[:, None], directions[ray])
                occupancy.observe(occupancy.cell(points), weights.detach())
            values = torch.cat([output.rgb, torch.ones_like(weights)[:, None], distance[:, None], output.gates], -1)
            total = total.index_add(0, ray, weights[:, None] * values)
            transmittance = transmittance * torch.exp(-torch.zeros_like(near).index_add(0, ray, thickness))
        if slabs > 1:
            alive = alive[transmittance[alive] > stop_below]
    return Marched(total[:, :3], total[:, 3], total[:, 4], total[:, 5:], asked)
