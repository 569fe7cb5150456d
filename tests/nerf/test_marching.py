"""Compositing against the closed form of a homogeneous medium, and against itself in slabs."""

from __future__ import annotations

import torch

from dfa_nerfstudio.nerf.field import FieldOutput
from dfa_nerfstudio.nerf.marching import box_interval, march


def _fog(density: float):
    def ask(ray, distance):
        colour = torch.stack([distance, 1 - distance, torch.full_like(distance, 0.5)], -1)
        return FieldOutput(torch.full_like(distance, density), colour, torch.ones_like(distance))

    return ask


def _everywhere(ray, distance):
    return torch.ones_like(ray, dtype=torch.bool)


def test_fog_has_the_opacity_of_beer_and_lambert():
    near, far = torch.zeros(2), torch.tensor([1.0, 2.0])
    seen = march(near, far, 400, _everywhere, _fog(1.5), jitter=False)
    torch.testing.assert_close(seen.accumulation, 1 - torch.exp(-1.5 * far), atol=1e-5, rtol=0)
    # the mean of s under the density 1.5 exp(-1.5 s) on [0, L]
    mean = (1 / 1.5) - torch.exp(-1.5 * far) * (far + 1 / 1.5)
    torch.testing.assert_close(seen.depth, mean, atol=2e-3, rtol=0)
    torch.testing.assert_close(seen.rgb[:, 0], seen.depth)


def test_slabs_change_nothing_and_opaque_rays_leave_early():
    near, far = torch.zeros(3), torch.ones(3)
    whole = march(near, far, 24, _everywhere, _fog(2.0), jitter=False, slabs=1)
    slabs = march(near, far, 24, _everywhere, _fog(2.0), jitter=False, slabs=4, stop_below=0.0)
    torch.testing.assert_close(whole.rgb, slabs.rgb)
    torch.testing.assert_close(whole.accumulation, slabs.accumulation)
    opaque = march(near, far, 24, _everywhere, _fog(200.0), jitter=False, slabs=4)
    assert opaque.num_samples == 3 * 6


def test_empty_space_costs_nothing_and_gradients_reach_the_field():
    density = torch.tensor(1.0, requires_grad=True)

    def ask(ray, distance):
        return FieldOutput(density.expand_as(distance), torch.ones(len(ray), 3), torch.ones_like(distance))

    def far_half(ray, distance):
        return distance > 0.5

    seen = march(torch.zeros(4), torch.ones(4), 10, far_half, ask, jitter=False)
    assert seen.num_samples == 4 * 5
    torch.testing.assert_close(seen.accumulation, (1 - torch.exp(-density * 0.5)).expand(4))
    seen.accumulation.sum().backward()
    torch.testing.assert_close(density.grad, 4 * 0.5 * torch.exp(torch.tensor(-0.5)))


def test_rays_that_miss_the_box_have_no_length():
    origins = torch.tensor([[0.0, 0.0, 3.0], [5.0, 0.0, 3.0]])
    directions = torch.tensor([[0.0, 0.0, -1.0], [0.0, 0.0, -1.0]])
    near, far = box_interval(origins, directions, -torch.ones(3), torch.ones(3))
    torch.testing.assert_close(torch.stack([near[0], far[0]]), torch.tensor([2.0, 4.0]))
    assert far[1] == near[1]
