"""Multi-resolution tri-plane: three axis-aligned feature planes per level, read by bilinear interpolation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

_PLANE_AXES = ((0, 1), (0, 2), (1, 2))


@dataclass
class TriPlaneConfig:
    """Size of a `TriPlane`."""

    levels: int = 4
    """Number of resolutions, spaced geometrically."""
    min_resolution: int = 16
    """Cells along an axis of the coarsest planes."""
    max_resolution: int = 128
    """Cells along an axis of the finest planes."""
    features: int = 4
    """Features per level and plane."""


class TriPlane(nn.Module):
    """Features at points of the cube [-1, 1]^3, concatenated over levels and planes; border values outside.

    Example:
        >>> TriPlane(TriPlaneConfig(levels=2, features=4))(torch.zeros(5, 3)).shape
        torch.Size([5, 24])
    """

    def __init__(self, config: TriPlaneConfig) -> None:
        super().__init__()
        growth = (config.max_resolution / config.min_resolution) ** (1 / max(config.levels - 1, 1))
        resolutions = [round(config.min_resolution * growth**level) for level in range(config.levels)]
        self.planes = nn.ParameterList(
            nn.Parameter(torch.empty(3, config.features, size, size).uniform_(-0.1, 0.1)) for size in resolutions
        )
        self.out_dim = 3 * config.features * config.levels

    def forward(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, "n out_dim"]:
        grid = torch.stack([points[:, axes] for axes in _PLANE_AXES])[:, None]  # [3, 1, n, 2]
        features = [
            F.grid_sample(plane, grid, mode="bilinear", padding_mode="border", align_corners=True).flatten(0, 2)
            for plane in self.planes
        ]  # each [3 * features, n]
        # A transposed view: matrix products read it without a copy.
        return torch.cat(features).t()
