"""Features at points of a cube: tri-planes and 3-D hash grids."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from nerfstudio.configs.base_config import InstantiateConfig
from torch import Tensor, nn

from dfa_nerfstudio.nerf.encodings.grid_backends import GridBackend, grid_encoder
from dfa_nerfstudio.nerf.encodings.grid_layout import GridLayout

_AXES = {"planes": ((0, 1), (0, 2), (1, 2)), "volume": ((0, 1, 2),)}


@dataclass
class GridConfig(InstantiateConfig):
    """Size of a `FeatureGrid`."""

    _target: type = field(default_factory=lambda: FeatureGrid)
    kind: Literal["planes", "volume"] = "planes"
    """Three axis-aligned 2-D grids, or one 3-D grid. Planes have fewer hash collisions and are much faster on CPUs."""
    num_levels: int = 5
    """Number of resolutions, spaced geometrically."""
    min_resolution: int = 16
    """Vertices along an axis at the coarsest level."""
    max_resolution: int = 256
    """Vertices along an axis at the finest level."""
    features_per_level: int = 4
    """Features per level and plane."""
    log2_hashmap_size: int = 19
    """Maximum number of rows of a level, as a power of two; levels with more vertices share rows by a spatial hash."""
    backend: GridBackend = "auto"
    """Implementation of the lookup: `triton` (compiled at first use), `tcnn` (tiny-cuda-nn) or `torch`; `auto` takes
    the first of them that is available. All give the same numbers."""

    @property
    def layout(self) -> GridLayout:
        """Memory layout of each grid."""
        dims = len(_AXES[self.kind][0])
        return GridLayout(
            dims,
            self.num_levels,
            self.features_per_level,
            self.min_resolution,
            self.max_resolution,
            self.log2_hashmap_size,
        )


class FeatureGrid(nn.Module):
    """Looks up learned features at points of the cube [-1, 1]^3; outside the cube border values are returned.

    A point has a position in one or several coordinate frames, each with grids of its own. Features are concatenated
    over levels, coordinate frames and planes. All grids share one table, because a CPU reads six planes at once faster
    than three planes twice.

    Example:
        >>> grid = FeatureGrid(GridConfig(num_levels=2, features_per_level=4), spaces=2)
        >>> grid.out_dim  # grid(points) has the shape [n, 48] for points [2, n, 3]
        48
    """

    def __init__(self, config: GridConfig, spaces: int = 1) -> None:
        super().__init__()
        self.config, self.layout = config, config.layout
        self.axes = _AXES[config.kind]
        grids = spaces * len(self.axes)
        table = torch.empty(grids, self.layout.entries, config.features_per_level)
        self.table = nn.Parameter(table.uniform_(-0.1, 0.1))
        self.out_dim = grids * self.layout.out_dim
        # instant-ngp's last vertex lies half a cell inside the unit cube, so the cube is shrunk by that margin
        self.margin = 0.5 / (config.min_resolution - 1)

    def forward(self, points: Float[Tensor, "spaces n 3"]) -> Float[Tensor, "n out_dim"]:
        """Returns the features of n points.

        Args:
            points: position of each point in every coordinate frame.
        """
        unit = points.clamp(-1, 1) * (0.5 - self.margin) + 0.5
        coordinates = torch.stack([unit[..., axes] for axes in self.axes], dim=1).flatten(0, 1)  # [grids, n, dims]
        return grid_encoder(self.config.backend, points.device, self.layout)(coordinates, self.table, self.layout)
