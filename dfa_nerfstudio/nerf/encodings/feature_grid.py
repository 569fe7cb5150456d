"""Features at points of the cube: tri-planes and 3-D hash grids."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from nerfstudio.configs.base_config import InstantiateConfig
from torch import Tensor, nn

from dfa_nerfstudio.nerf.encodings.grid_backends import Backend, encoder
from dfa_nerfstudio.nerf.encodings.grid_layout import GridLayout

_AXES = {"planes": ((0, 1), (0, 2), (1, 2)), "volume": ((0, 1, 2),)}


@dataclass
class GridConfig(InstantiateConfig):
    """Size of a `Grid`."""

    _target: type = field(default_factory=lambda: Grid)
    kind: Literal["planes", "volume"] = "planes"
    """Three axis-aligned 2-D grids, or one 3-D grid. Planes collide less and are the faster the smaller the machine."""
    levels: int = 4
    """Number of resolutions, spaced geometrically."""
    min_resolution: int = 16
    """Vertices along an axis at the coarsest level."""
    max_resolution: int = 128
    """Vertices along an axis at the finest level."""
    features: int = 4
    """Features per level and plane."""
    log2_table: int = 19
    """Most rows of a level, as a power of two; levels with more vertices share rows by a hash."""
    backend: Backend = "auto"
    """What reads the grids: `triton` (compiles itself at first use), `tcnn` (tiny-cuda-nn) or `torch`; `auto` is the
    first of them that is to be had. All give the same numbers."""

    @property
    def layout(self) -> GridLayout:
        """How each grid lies in memory."""
        dims = len(_AXES[self.kind][0])
        return GridLayout(dims, self.levels, self.features, self.min_resolution, self.max_resolution, self.log2_table)


class Grid(nn.Module):
    """Features at points of the cube [-1, 1]^3, each in one or several frames of reference with grids of their own;
    concatenated over levels, frames of reference and planes; border values outside.

    One table for all of them: a CPU reads six planes at once faster than three twice.

    Example:
        >>> Grid(GridConfig(levels=2, features=4), spaces=2)(torch.zeros(2, 5, 3)).shape
        torch.Size([5, 48])
    """

    def __init__(self, config: GridConfig, spaces: int = 1) -> None:
        super().__init__()
        self.config, self.layout = config, config.layout
        self.axes = _AXES[config.kind]
        grids = spaces * len(self.axes)
        self.table = nn.Parameter(torch.empty(grids, self.layout.entries, config.features).uniform_(-0.1, 0.1))
        self.out_dim = grids * self.layout.out_dim
        # instant-ngp's last vertex lies half a cell within the unit cube: the cube is drawn in by as much
        self.rim = 0.5 / (config.min_resolution - 1)

    def forward(self, points: Float[Tensor, "spaces n 3"]) -> Float[Tensor, "n out_dim"]:
        unit = points.clamp(-1, 1) * (0.5 - self.rim) + 0.5
        places = torch.stack([unit[..., axes] for axes in self.axes], dim=1).flatten(0, 1)  # [grids, n, dims]
        return encoder(self.config.backend, points.device)(places, self.table, self.layout)
