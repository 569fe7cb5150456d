"""An occupancy grid in head space that is valid for every condition."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dfa_nerfstudio.nerf.processes import keep_largest


class OccupancyGrid(nn.Module):
    """Cells of the cube [-1, 1]^3 in which training rays recently had visible samples, and their neighbours.

    A cell is occupied if it was visible at any of the random times that training draws, because the head turns against
    the torso and the mouth opens; a decay lets it empty again. Visibility counts instead of density, because the inside
    of a head is never visible, gets no gradient and would stay occupied. Training updates the grid with weights that it
    computes anyway, without additional queries of the field.

    All cells are occupied at first; cells that stay invisible empty after some updates.
    """

    max_weight: Tensor  # decayed maximum of a sample's weight in the rendered colour, per cell
    occupied: Tensor

    def __init__(self, resolution: int, threshold: float, decay: float) -> None:
        """
        Args:
            resolution: number of cells along an axis.
            threshold: weight of a single sample below which it counts as invisible.
            decay: factor on the remembered maximum at each update.
        """
        super().__init__()
        self.resolution, self.threshold, self.decay = resolution, threshold, decay
        self.register_buffer("max_weight", torch.full((resolution**3,), 3 * threshold))
        self.register_buffer("occupied", torch.ones(resolution**3, dtype=torch.bool))

    def cell(self, points: Float[Tensor, "*batch 3"]) -> Int[Tensor, "*batch"]:
        """Index of the cell of each point; points outside the cube belong to the nearest border cell."""
        size = self.resolution
        x, y, z = ((points + 1) * (size / 2)).long().clamp_(0, size - 1).unbind(-1)
        return (x * size + y) * size + z

    @torch.no_grad()
    def observe(self, cell: Int[Tensor, " n"], weight: Float[Tensor, " n"]) -> None:
        """Records the weights of n samples in their cells; those that are not finite, which never decay, count as 0."""
        self.max_weight.scatter_reduce_(0, cell, weight.float().nan_to_num(0.0, 0.0, 0.0), "amax")

    @torch.no_grad()
    def update(self) -> None:
        """Decays the recorded weights and recomputes which cells are occupied."""
        size = self.resolution
        keep_largest(self.max_weight)
        self.max_weight *= self.decay
        dilated = nn.functional.max_pool3d(self.max_weight.view(1, 1, size, size, size), 3, stride=1, padding=1)
        self.occupied.copy_(dilated.flatten() > self.threshold)
