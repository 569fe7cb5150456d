"""Ray marching: samples rays in occupied space, queries the field there and composites its outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.nerf.conditioned_field import FieldOutput
from dfa_nerfstudio.nerf.marching.marching_backends import MarchingBackend, marching_functions
from dfa_nerfstudio.nerf.marching.occupancy_grid import OccupancyGrid


@dataclass
class RenderOutput:
    """Rendered values of R rays."""

    rgb: Float[Tensor, "R 3"]
    """Colour weighted by opacity, without background."""
    accumulation: Float[Tensor, " R"]
    """Opacity, 0 to 1."""
    depth: Float[Tensor, " R"]
    """Expected distance along the ray times accumulation."""
    gates: Float[Tensor, "R 2"]
    """Audio and eye gate, weighted by opacity."""
    num_samples: int | Int[Tensor, ""]
    """Number of samples at which the field was queried, over all rays."""


def cube_interval(
    origins: Float[Tensor, "R 3"], directions: Float[Tensor, "R 3"]
) -> tuple[Float[Tensor, " R"], Float[Tensor, " R"]]:
    """Distances at which rays enter and leave the cube [-1, 1]^3; equal for rays that miss it."""
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
    backend: MarchingBackend = "auto",
) -> RenderOutput:
    """Renders rays through the cube [-1, 1]^3 by stratified sampling; only samples in occupied space query the field.

    Args:
        origins: ray origins in units of the cube.
        directions: ray directions in units of the cube; distances are multiples of their length.
        num_samples: samples per ray before empty space is skipped.
        occupancy: cells that may contain the person; None queries the field everywhere.
        field: the field as a function of ray indices and distances.
        training: samples at random positions within the strata instead of their middle, and records the samples'
            weights in `occupancy`.
        slabs: number of parts in which a ray is marched; opaque rays stop after each part.
        stop_below: transmittance below which a ray counts as opaque.
        backend: implementation of sampling and weights.
    """
    sample, compute_weights = marching_functions(backend, origins.device)
    near, far = cube_interval(origins, directions)
    step = (far - near) / num_samples  # [R]
    transmittance = torch.ones_like(near)
    # rgb, accumulation, depth and gates are composited together in one sum per slab
    total = near.new_zeros(len(near), 7)
    active = torch.nonzero(far > near)[:, 0]
    num_queries = 0
    for strata in torch.arange(num_samples).chunk(slabs):
        rays = (values[active] for values in (origins, directions, near, step))
        row, distance = sample(*rays, (int(strata[0]), int(strata[-1]) + 1), occupancy, jitter=training)
        num_queries += len(row)
        if len(row):
            ray = active[row]
            output = field(ray, distance)
            optical_depth = output.density.float() * step[ray]
            weights = compute_weights(optical_depth, row, len(active)) * transmittance[ray]
            if training and occupancy is not None:
                points = torch.addcmul(origins[ray], distance[:, None], directions[ray])
                occupancy.observe(occupancy.cell(points), weights.detach())
            values = torch.cat([output.rgb, torch.ones_like(weights)[:, None], distance[:, None], output.gates], -1)
            total = total.index_add(0, ray, weights[:, None] * values)
            transmittance = transmittance * torch.exp(-torch.zeros_like(near).index_add(0, ray, optical_depth))
        if slabs > 1:
            active = active[transmittance[active] > stop_below]
    return RenderOutput(total[:, :3], total[:, 3], total[:, 4], total[:, 5:], num_queries)
