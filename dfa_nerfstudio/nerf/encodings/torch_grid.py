"""Grid lookup in plain torch: the reference for every other backend, and the fastest on a CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.nerf.encodings.grid_layout import PRIMES, GridLayout, GridLevel


def encode(
    points: Float[Tensor, "grids n dims"], table: Float[Tensor, "grids entries features"], layout: GridLayout
) -> Float[Tensor, "n out"]:
    """Looks up the features of n points, interpolated linearly between vertices.

    Args:
        points: coordinates in every grid, in [0, 1]; a point's last vertex must exist: `scale x + 0.5 <= resolution -
            1` at every level.
        table: a table for each grid.
        layout: layout of every grid.

    Returns:
        features of a point, level by level, and grid by grid within a level. It is a transposed view, which matrix
        products read without a copy.
    """
    parts = table.split([level.entries for level in layout.levels], dim=1)
    features = [
        (_sample_image if level.dense and layout.dims == 2 else _gather)(points, part, level)
        for level, part in zip(layout.levels, parts, strict=True)
    ]
    return torch.cat(features).t()


def _sample_image(
    points: Float[Tensor, "grids n 2"], part: Float[Tensor, "grids entries features"], level: GridLevel
) -> Float[Tensor, "gridsxfeatures n"]:
    """Looks up a dense 2-D level as an image, which is about 50 times as fast in torch as gathering rows."""
    size = level.resolution
    image = part[:, : size * size].unflatten(1, (size, size)).permute(0, 3, 1, 2)  # [grids, features, size, size]
    position = points[:, None] * (2 * level.scale / (size - 1)) + (1 / (size - 1) - 1)  # [grids, 1, n, 2]
    return F.grid_sample(image, position, mode="bilinear", padding_mode="border", align_corners=True).flatten(0, 2)


def _gather(
    points: Float[Tensor, "grids n dims"], part: Float[Tensor, "grids entries features"], level: GridLevel
) -> Float[Tensor, "gridsxfeatures n"]:
    """Looks up a level of any kind by gathering the rows of each point's vertices."""
    dims = points.shape[-1]
    position = points * level.scale + 0.5
    corner = position.floor()
    fraction, corner = position - corner, corner.long()
    total = part.new_zeros(part.shape[0], points.shape[1], part.shape[2])
    for bits in range(1 << dims):
        shift = torch.tensor([bits >> axis & 1 for axis in range(dims)], device=points.device)
        weight = torch.where(shift.bool(), fraction, 1 - fraction).prod(-1, keepdim=True)  # [grids, n, 1]
        row = _row(corner + shift, level)[..., None].expand(-1, -1, part.shape[2])
        total = torch.addcmul(total, weight, part.gather(1, row))
    return total.transpose(1, 2).flatten(0, 1)


def _row(vertex: Int[Tensor, "grids n dims"], level: GridLevel) -> Int[Tensor, "grids n"]:
    """Row of each vertex within its level."""
    coordinates = vertex.unbind(-1)
    row = torch.zeros_like(coordinates[0])
    if level.dense:
        for coordinate in reversed(coordinates):
            row = row * level.resolution + coordinate
    else:
        for coordinate, prime in zip(coordinates, PRIMES, strict=False):
            row = row ^ (coordinate * prime & 0xFFFFFFFF)
    return row % level.entries
