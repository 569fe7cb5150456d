"""An occupancy grid in head space that holds for every condition."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class OccupancyGrid(nn.Module):
    """Cells of the cube [-1, 1]^3 in which training rays have seen anything lately, and the cells next to them.

    The head turns against the torso and the mouth opens: a cell counts as occupied if it was visible at one of the
    random moments that training asks for, with a decay that lets it empty again. Visible is what counts, not dense:
    the inside of a head is never seen, gets no gradient and would stay occupied for ever. Training feeds the grid with
    weights it has computed anyway, so that it costs no question to the field.

    Everything is occupied at first; what stays unseen empties after some updates.
    """

    seen: Tensor  # decayed maximum of a sample's weight in the picture, per cell
    occupied: Tensor

    def __init__(self, resolution: int, threshold: float, decay: float) -> None:
        """
        Args:
            resolution: cells along an axis.
            threshold: weight of a single sample below which it counts as not seen.
            decay: factor on the remembered maximum at each update.
        """
        super().__init__()
        self.resolution, self.threshold, self.decay = resolution, threshold, decay
        self.register_buffer("seen", torch.full((resolution**3,), 3 * threshold))
        self.register_buffer("occupied", torch.ones(resolution**3, dtype=torch.bool))

    def cell(self, points: Float[Tensor, "*batch 3"]) -> Int[Tensor, "*batch"]:
        """Index of the cell of each point of the cube; points outside count to the border."""
        size = self.resolution
        x, y, z = ((points + 1) * (size / 2)).long().clamp_(0, size - 1).unbind(-1)
        return (x * size + y) * size + z

    @torch.no_grad()
    def observe(self, cell: Int[Tensor, " n"], weight: Float[Tensor, " n"]) -> None:
        """Remembers how much samples in the cells counted in the picture."""
        self.seen.scatter_reduce_(0, cell, weight.float(), "amax")

    @torch.no_grad()
    def update(self) -> None:
        """Lets the memory fade and decides anew which cells are occupied."""
        size = self.resolution
        self.seen *= self.decay
        grown = nn.functional.max_pool3d(self.seen.view(1, 1, size, size, size), 3, stride=1, padding=1)
        self.occupied.copy_(grown.flatten() > self.threshold)
