"""Memory layout of a multi-resolution grid: instant-ngp's, for every backend."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

PRIMES = (1, 2654435761, 805459861)
"""Factors of instant-ngp's spatial hash, one per axis."""


@dataclass(frozen=True)
class GridLevel:
    """One resolution of a grid."""

    scale: float
    """Scale from a coordinate x in [0, 1] to units of vertices: `scale x + 0.5`."""
    resolution: int
    """Number of vertices along an axis."""
    offset: int
    """Index of the level's first row in the table."""
    entries: int
    """Number of rows of the level; a multiple of 8."""
    dense: bool
    """Whether every vertex has a row of its own, x varying fastest; otherwise a spatial hash shares the rows."""


@dataclass(frozen=True)
class GridLayout:
    """Layout of a table [entries, features_per_level] of a grid with `dims` dimensions.

    A level is dense if it has a row for every vertex, otherwise hashed, as in instant-ngp (Mueller et al. 2022). The
    order of rows is tiny-cuda-nn's, so that it can read the table unchanged.
    """

    dims: int
    num_levels: int
    features_per_level: int
    min_resolution: int
    """Number of vertices along an axis at the coarsest level."""
    max_resolution: int
    """Number of vertices along an axis at the finest level."""
    log2_hashmap_size: int
    """Maximum number of rows of a level, as a power of two."""

    @cached_property
    def growth(self) -> float:
        """Factor from one level's resolution to the next.

        Reduced by 1e-5, because a finest resolution that is a whole number would otherwise be rounded up on one
        machine and not on another.
        """
        return (self.max_resolution / self.min_resolution) ** (1 / max(self.num_levels - 1, 1)) * (1 - 1e-5)

    @cached_property
    def levels(self) -> tuple[GridLevel, ...]:
        """The levels, coarsest first."""
        levels, offset = [], 0
        for index in range(self.num_levels):
            scale = self.min_resolution * self.growth**index - 1
            resolution = math.ceil(scale) + 1
            vertices = resolution**self.dims
            dense = vertices <= 1 << self.log2_hashmap_size
            entries = min(math.ceil(vertices / 8) * 8, 1 << self.log2_hashmap_size)
            levels.append(GridLevel(scale, resolution, offset, entries, dense))
            offset += entries
        return tuple(levels)

    @property
    def entries(self) -> int:
        """Number of rows of the whole table."""
        return self.levels[-1].offset + self.levels[-1].entries

    @property
    def out_dim(self) -> int:
        """Number of features of a point, over all levels."""
        return self.num_levels * self.features_per_level
