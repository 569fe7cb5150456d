"""Deformation of head space around the mouth by the mouth's condition."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

UNIT = 0.01
"""Displacement by a parameter of 1, in units of the scene box scaled to [-1, 1]^3. Lips move by a few of them, and the
optimiser's steps suit parameters around 1."""
MAX_FIELDS = 10
"""Number of deformation fields; conditions of more dimensions are projected onto as many."""


class MouthWarp(nn.Module):
    """Maps positions of a frame to those of the mean mouth, before the features are looked up.

    x' = x - w(x) sum_k c_k D_k(x): each component c_k of the condition moves space by a field D_k of its own. A field
    is learned on a coarse grid over the face's plane, starting from zero; it does not depend on depth, because the
    surface decides that. The window w is 1 inside half of the ellipsoid's radii and falls to 0 at its surface. Lips
    that move keep their features; without the warp the network has to redraw them at every place, which blurs them.
    """

    region: Tensor

    def __init__(self, resolution: int, mouth_dim: int, region: Float[Tensor, "2 3"]) -> None:
        """
        Args:
            resolution: number of vertices of the grid along each axis.
            mouth_dim: length of the mouth's condition.
            region: centre and radii of the ellipsoid that is deformed, in the scaled scene box.
        """
        super().__init__()
        self.register_buffer("region", region)
        many = mouth_dim > MAX_FIELDS
        self.code = nn.Linear(mouth_dim, MAX_FIELDS, bias=False) if many else nn.Identity()
        self.fields = nn.Parameter(torch.zeros(min(mouth_dim, MAX_FIELDS), 3, resolution, resolution))

    def forward(
        self, points: Float[Tensor, "S 3"], frame: Int[Tensor, " S"], mouth: Float[Tensor, "U M"]
    ) -> Float[Tensor, "S 3"]:
        """Returns the warped positions of S points.

        Args:
            points: in head space, in [-1, 1]^3.
            frame: row of `mouth` per point.
            mouth: standardised conditions of U frames.
        """
        centre, radii = self.region
        local = (points - centre) / radii
        radius = local.norm(dim=-1)
        rows = torch.nonzero(radius < 1)[:, 0]  # the window is 0 elsewhere
        where = local[rows, :2].flip(-1)[None, None]  # grid_sample names the last axis first
        if len(mouth) == 1:
            moved = F.grid_sample(self.displacement(mouth)[None], where, align_corners=True)[0, :, 0]
        else:
            fields = F.grid_sample(self.fields.flatten(0, 1)[None], where, align_corners=True)[0, :, 0]
            code = self.code(mouth).index_select(0, frame[rows]).T
            moved = UNIT * (fields.unflatten(0, (-1, 3)) * code[:, None]).sum(0)
        window = (2 * (1 - radius[rows])).clamp(0, 1)
        return points.index_add(0, rows, (-window * moved).T)

    def displacement(self, mouth: Float[Tensor, "1 M"]) -> Float[Tensor, "3 R R"]:
        """The sum of all fields for one frame's condition; the window is not applied."""
        return UNIT * torch.einsum("k,kdxy->dxy", self.code(mouth)[0], self.fields)
