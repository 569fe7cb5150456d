"""Compositing against the closed form of a homogeneous medium, and against itself in slabs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dfa_nerfstudio.nerf.field import FieldOutput
from dfa_nerfstudio.nerf.marching import cube_interval, march
from dfa_nerfstudio.nerf.occupancy import OccupancyGrid


def _fog(density: float):
    def ask(ray, distance):
        colour = torch.stack([distance, 1 - distance, torch.full_like(distance, 0.5)], -1)
        return FieldOutput(torch.full_like(distance, density), colour, torch.ones(len(distance), 2))

    return ask


def _along_z(lengths: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Rays that enter the cube at distance 0 and leave it after the given lengths: the cube is 2 units of theirs."""
    origins = torch.tensor([[0.0, 0.0, -1.0]]).repeat(len(lengths), 1) - torch.tensor([0.0, 0.0, 2e-3 / max(lengths)])
    directions = torch.stack([torch.tensor([0.0, 0.0, 2.0 / length]) for length in lengths])
    return origins, directions


def test_fog_has_the_opacity_of_beer_and_lambert():
    origins, directions = _along_z([1.0, 2.0])
    seen = march(origins, directions, 400, None, _fog(1.5), training=False)
    length = torch.tensor([1.0, 2.0])
    torch.testing.assert_close(seen.accumulation, 1 - torch.exp(-1.5 * length), atol=2e-3, rtol=0)
    # the mean of s under the density 1.5 exp(-1.5 s) on [0, L]
    mean = (1 / 1.5) - torch.exp(-1.5 * length) * (length + 1 / 1.5)
    torch.testing.assert_close(seen.depth, mean, atol=5e-3, rtol=0)
    torch.testing.assert_close(seen.rgb[:, 0], seen.depth)


def test_slabs_change_nothing_and_opaque_rays_leave_early():
    rays = _along_z([1.0, 1.0, 1.0])
    whole = march(*rays, 24, None, _fog(2.0), training=False, slabs=1)
    slabs = march(*rays, 24, None, _fog(2.0), training=False, slabs=4, stop_below=0.0)
    torch.testing.assert_close(whole.rgb, slabs.rgb)
    torch.testing.assert_close(whole.accumulation, slabs.accumulation)
    opaque = march(*rays, 24, None, _fog(200.0), training=False, slabs=4)
    assert opaque.num_samples == 3 * 6


def test_spread_is_the_mean_distance_of_two_samples_drawn_by_weight():
    seen = march(*_along_z([1.0]), 50, None, _fog(3.0), training=False)
    step = 1 / 50
    alpha = 1 - np.exp(-3.0 * step)
    weight = alpha * (1 - alpha) ** np.arange(50)
    position = (np.arange(50) + 0.5) * step
    pairs = weight[:, None] * weight * np.abs(position[:, None] - position)
    assert float(seen.spread[0]) == pytest.approx(pairs.sum(), rel=5e-3)


def test_empty_space_costs_nothing_and_gradients_reach_the_field():
    density = torch.tensor(1.0, requires_grad=True)

    def ask(ray, distance):
        return FieldOutput(density.expand_as(distance), torch.ones(len(ray), 3), torch.ones(len(ray), 2))

    occupancy = OccupancyGrid(4, threshold=0.01, decay=0.9)
    occupancy.occupied.view(4, 4, 4)[:, :, :2] = False  # the nearer half
    seen = march(*_along_z([1.0] * 4), 10, occupancy, ask, training=False)
    assert seen.num_samples == 4 * 5
    torch.testing.assert_close(seen.accumulation, (1 - torch.exp(-density * 0.5)).expand(4), atol=2e-3, rtol=0)
    seen.accumulation.sum().backward()
    assert float(density.grad) == pytest.approx(4 * 0.5 * np.exp(-0.5), rel=5e-3)


def test_occupancy_forgets_what_is_no_longer_seen_and_keeps_what_is():
    """A wall in the middle hides what is behind it: only the wall and its neighbours stay."""
    occupancy = OccupancyGrid(8, threshold=0.01, decay=0.5)

    def wall(ray, distance):
        density = torch.where((distance - 0.56).abs() < 0.04, 500.0, 0.0)
        return FieldOutput(density, torch.ones(len(ray), 3), torch.ones(len(ray), 2))

    for _ in range(12):
        march(*_along_z([1.0]), 64, occupancy, wall, training=True)
        occupancy.update()
    column = occupancy.occupied.view(8, 8, 8)[4, 4]
    assert column.tolist() == [False, False, False, True, True, True, False, False]


def test_rays_that_miss_the_cube_have_no_length():
    origins = torch.tensor([[0.0, 0.0, 3.0], [5.0, 0.0, 3.0]])
    near, far = cube_interval(origins, torch.tensor([[0.0, 0.0, -1.0], [0.0, 0.0, -1.0]]))
    torch.testing.assert_close(torch.stack([near[0], far[0]]), torch.tensor([2.0, 4.0]))
    assert far[1] == near[1]
