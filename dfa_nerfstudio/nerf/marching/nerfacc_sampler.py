"""Samples and weights by nerfacc's CUDA functions.

Its estimator steps from cell to cell and evaluates only strata in occupied cells, where `torch_sampler` evaluates all
of them. Rays are rescaled so that its steps of unit length are the strata, and its samples are those of the reference
(with one random offset for all strata of a ray instead of one for each).
"""

from __future__ import annotations

from functools import lru_cache

import nerfacc
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.nerf.marching.occupancy_grid import OccupancyGrid


def sample(
    origins: Float[Tensor, "R 3"],
    directions: Float[Tensor, "R 3"],
    near: Float[Tensor, " R"],
    step: Float[Tensor, " R"],
    strata: tuple[int, int],
    occupancy: OccupancyGrid | None,
    *,
    jitter: bool,
) -> tuple[Int[Tensor, " S"], Float[Tensor, " S"]]:
    """Same as `torch_sampler.sample`."""
    size = 1 if occupancy is None else occupancy.resolution
    estimator = _estimator(size, near.device)
    estimator.binaries = (
        torch.ones_like(estimator.binaries) if occupancy is None else occupancy.occupied.view(1, size, size, size)
    )
    first, stop = strata
    # Distances in units of a stratum. nerfacc adds its random offset, 0 to 1, to the middle of a stratum.
    ray, start, end = estimator.sampling(
        origins + near[:, None] * directions,
        step[:, None] * directions,
        near_plane=first - 0.5 * jitter,
        far_plane=float(stop),
        render_step_size=1.0,
        stratified=jitter,
    )
    return ray, near[ray] + (start + end) / 2 * step[ray]


def compute_weights(optical_depth: Float[Tensor, " S"], ray: Int[Tensor, " S"], num_rays: int) -> Float[Tensor, " S"]:
    """Same as `torch_sampler.compute_weights`."""
    start = torch.zeros_like(optical_depth)
    return nerfacc.render_weight_from_density(start, start + 1, optical_depth, ray_indices=ray, n_rays=num_rays)[0]


@lru_cache
def _estimator(size: int, device: torch.device) -> nerfacc.OccGridEstimator:
    return nerfacc.OccGridEstimator([-1, -1, -1, 1, 1, 1], resolution=size, levels=1).to(device)
