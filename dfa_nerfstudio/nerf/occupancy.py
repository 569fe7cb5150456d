"""An occupancy grid in head space that holds for every condition."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class OccupancyGrid(nn.Module):
    """Cells of the cube [-1, 1]^3 in which anything was dense at any moment, with a decay that lets them empty again.

    The head turns against the torso and the mouth opens: a cell counts as occupied if it was at one of the random
    moments it was asked about. Everything is occupied until the first update.
    """

    peak: Tensor  # decayed maximum of the opacity of one sample, per cell
    occupied: Tensor

    def __init__(self, resolution: int, threshold: float, decay: float) -> None:
        """
        Args:
            resolution: cells along an axis.
            threshold: opacity of a single sample below which a cell is skipped.
            decay: factor on the remembered maximum at each update.
        """
        super().__init__()
        self.resolution, self.threshold, self.decay = resolution, threshold, decay
        self.register_buffer("peak", torch.ones(resolution**3))
        self.register_buffer("occupied", torch.ones(resolution**3, dtype=torch.bool))

    @torch.no_grad()
    def update(self, opacity: Callable[[Float[Tensor, "n 3"]], Float[Tensor, " n"]]) -> None:
        """Asks once for each cell, at a random point in it.

        Args:
            opacity: opacity of one sample at points of the cube, each at a random moment.
        """
        size = self.resolution
        cells = torch.arange(size**3, device=self.peak.device)
        corner = torch.stack([cells // (size * size), cells // size % size, cells % size], -1)
        points = (corner + torch.rand_like(corner, dtype=torch.float32)) / size * 2 - 1
        torch.maximum(self.peak * self.decay, opacity(points), out=self.peak)
        dilated = nn.functional.max_pool3d(self.peak.view(1, 1, size, size, size), 3, stride=1, padding=1)
        self.occupied.copy_(dilated.flatten() > self.threshold)

    def forward(self, points: Float[Tensor, "*batch 3"]) -> Bool[Tensor, "*batch"]:
        """Whether each point lies in an occupied cell; points outside the cube do not."""
        size = self.resolution
        scaled = (points + 1) * (size / 2)
        cell = scaled.long().clamp(0, size - 1)
        index = (cell[..., 0] * size + cell[..., 1]) * size + cell[..., 2]
        inside = ((scaled >= 0) & (scaled <= size)).all(-1)
        return self.occupied[index] & inside
