"""How a multi-resolution grid lies in memory: one layout for every backend, the one of instant-ngp."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

PRIMES = (1, 2654435761, 805459861)
"""Factors of the spatial hash, one for each axis."""


@dataclass(frozen=True)
class Level:
    """One resolution of a grid."""

    scale: float
    """A coordinate x in [0, 1] lies at `scale x + 0.5` in units of vertices."""
    resolution: int
    """Vertices along an axis."""
    offset: int
    """First row of the level in the table."""
    entries: int
    """Rows of the level; a multiple of 8."""
    dense: bool
    """Every vertex has a row of its own, x running fastest; otherwise rows are shared by a spatial hash."""


@dataclass(frozen=True)
class GridLayout:
    """Rows of a table [entries, features] for a grid of `dims` dimensions.

    Levels of which every vertex fits the table are dense, finer ones hashed, as in instant-ngp (Mueller et al. 2022);
    the rows are those of tiny-cuda-nn, so that a table can be handed to it as it is.
    """

    dims: int
    levels: int
    features: int
    """Features per level."""
    min_resolution: int
    """Vertices along an axis at the coarsest level."""
    max_resolution: int
    """Vertices along an axis at the finest level."""
    log2_table: int
    """Most rows of a level, as a power of two."""

    @cached_property
    def growth(self) -> float:
        """Factor from one level's resolution to the next.

        Smaller than asked for by a hair: a finest resolution that is a whole number would otherwise be rounded up on
        one machine and not on the other.
        """
        return (self.max_resolution / self.min_resolution) ** (1 / max(self.levels - 1, 1)) * (1 - 1e-5)

    @cached_property
    def table(self) -> tuple[Level, ...]:
        """The levels, coarsest first."""
        levels, offset = [], 0
        for number in range(self.levels):
            scale = self.min_resolution * self.growth**number - 1
            resolution = math.ceil(scale) + 1
            vertices = resolution**self.dims
            dense = vertices <= 1 << self.log2_table
            entries = min(math.ceil(vertices / 8) * 8, 1 << self.log2_table)
            levels.append(Level(scale, resolution, offset, entries, dense))
            offset += entries
        return tuple(levels)

    @property
    def entries(self) -> int:
        """Rows of the whole table."""
        return self.table[-1].offset + self.table[-1].entries

    @property
    def out_dim(self) -> int:
        """Features of a point: level by level."""
        return self.levels * self.features
