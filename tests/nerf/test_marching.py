"""Compositing against the closed form of a homogeneous medium, marching in slabs, and nerfacc against the reference."""

from __future__ import annotations

from types import SimpleNamespace

import nerfacc.grid
import numpy as np
import pytest
import torch

from dfa_nerfstudio.nerf.conditioned_field import FieldOutput
from dfa_nerfstudio.nerf.marching import OccupancyGrid, march, nerfacc_sampler, torch_sampler
from dfa_nerfstudio.nerf.marching.ray_marching import cube_interval


def _fog(density: float):
    def query(ray, distance):
        colour = torch.stack([distance, 1 - distance, torch.full_like(distance, 0.5)], -1)
        return FieldOutput(torch.full_like(distance, density), colour, torch.ones(len(distance), 2))

    return query


def _along_z(lengths: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Rays that enter the cube at distance 0 and leave it at the given distances."""
    origins = torch.tensor([[0.0, 0.0, -1.0]]).repeat(len(lengths), 1) - torch.tensor([0.0, 0.0, 2e-3 / max(lengths)])
    directions = torch.stack([torch.tensor([0.0, 0.0, 2.0 / length]) for length in lengths])
    return origins, directions


def test_fog_has_the_opacity_of_the_beer_lambert_law():
    origins, directions = _along_z([1.0, 2.0])
    seen = march(origins, directions, 400, None, _fog(1.5), training=False)
    length = torch.tensor([1.0, 2.0])
    torch.testing.assert_close(seen.accumulation, 1 - torch.exp(-1.5 * length), atol=2e-3, rtol=0)
    # the mean of s under the density 1.5 exp(-1.5 s) on [0, L]
    mean = (1 / 1.5) - torch.exp(-1.5 * length) * (length + 1 / 1.5)
    torch.testing.assert_close(seen.depth, mean, atol=5e-3, rtol=0)
    torch.testing.assert_close(seen.rgb[:, 0], seen.depth)


def test_slabs_do_not_change_colours_and_opaque_rays_stop_early():
    rays = _along_z([1.0, 1.0, 1.0])
    whole = march(*rays, 24, None, _fog(2.0), training=False, slabs=1)
    slabs = march(*rays, 24, None, _fog(2.0), training=False, slabs=4, stop_below=0.0)
    torch.testing.assert_close(whole.rgb, slabs.rgb)
    torch.testing.assert_close(whole.accumulation, slabs.accumulation)
    opaque = march(*rays, 24, None, _fog(200.0), training=False, slabs=4)
    assert opaque.num_samples == 3 * 6


def test_empty_space_is_not_queried_and_gradients_reach_the_field():
    density = torch.tensor(1.0, requires_grad=True)

    def query(ray, distance):
        return FieldOutput(density.expand_as(distance), torch.ones(len(ray), 3), torch.ones(len(ray), 2))

    occupancy = OccupancyGrid(4, threshold=0.01, decay=0.9)
    occupancy.occupied.view(4, 4, 4)[:, :, :2] = False  # the nearer half
    seen = march(*_along_z([1.0] * 4), 10, occupancy, query, training=False)
    assert seen.num_samples == 4 * 5
    torch.testing.assert_close(seen.accumulation, (1 - torch.exp(-density * 0.5)).expand(4), atol=2e-3, rtol=0)
    seen.accumulation.sum().backward()
    assert float(density.grad) == pytest.approx(4 * 0.5 * np.exp(-0.5), rel=5e-3)


def test_occupancy_keeps_visible_cells_and_empties_hidden_ones():
    """A wall in the middle hides the cells behind it: only the wall and its neighbours stay occupied."""
    occupancy = OccupancyGrid(8, threshold=0.01, decay=0.5)

    def wall(ray, distance):
        density = torch.where((distance - 0.56).abs() < 0.04, 500.0, 0.0)
        return FieldOutput(density, torch.ones(len(ray), 3), torch.ones(len(ray), 2))

    for _ in range(12):
        march(*_along_z([1.0]), 64, occupancy, wall, training=True)
        occupancy.update()
    column = occupancy.occupied.view(8, 8, 8)[4, 4]
    assert column.tolist() == [False, False, False, True, True, True, False, False]


def test_rays_that_miss_the_cube_have_an_empty_interval():
    origins = torch.tensor([[0.0, 0.0, 3.0], [5.0, 0.0, 3.0]])
    near, far = cube_interval(origins, torch.tensor([[0.0, 0.0, -1.0], [0.0, 0.0, -1.0]]))
    torch.testing.assert_close(torch.stack([near[0], far[0]]), torch.tensor([2.0, 4.0]))
    assert far[1] == near[1]


def test_weights_equal_the_product_of_transmittances_ray_by_ray():
    """Also behind a sample of extreme optical depth, which must not affect other rays."""
    ray = torch.tensor([0, 0, 0, 2, 2, 3])
    optical_depth = torch.tensor([0.3, 1e30, 0.2, 0.7, 0.1, 1e-6], requires_grad=True)
    weights = torch_sampler.compute_weights(optical_depth, ray, 4)
    alpha = 1 - np.exp(-optical_depth.detach().double().numpy())
    expected = [alpha[0], 1 - alpha[0], 0, alpha[3], (1 - alpha[3]) * alpha[4], 1e-6]
    np.testing.assert_allclose(weights.detach(), expected, rtol=1e-5, atol=1e-12)
    weights[4].backward()
    slope = [0, 0, 0, -(1 - alpha[3]) * alpha[4], (1 - alpha[3]) * (1 - alpha[4]), 0]
    np.testing.assert_allclose(optical_depth.grad, slope, rtol=1e-5, atol=1e-12)


@pytest.fixture
def nerfacc_on_cpu(monkeypatch: pytest.MonkeyPatch):
    """Python versions of nerfacc's CUDA functions, one ray at a time."""

    def traverse(origins, directions, binaries, aabbs, enters, leaves, hits, nears, fars, step, *_):
        assert binaries.is_contiguous() and len(binaries) == len(aabbs) == 1
        size, starts, rays = binaries.shape[1], [], []
        for index in range(len(origins)):
            last = float(nears[index])
            begin, end = max(float(enters[index, 0]), last), min(float(leaves[index, 0]), float(fars[index]))
            while hits[index, 0] and last + step / 2 < begin:
                last += step
            while hits[index, 0] and last + step / 2 < end:
                point = origins[index] + (last + step / 2) * directions[index]
                x, y, z = ((point + 1) * size / 2).long().clamp(0, size - 1).tolist()
                if binaries[0, x, y, z]:
                    starts.append(last)
                    rays.append(index)
                last += step
        start = torch.tensor(starts)
        both = torch.stack([start, start + step], -1).flatten()
        left = torch.tensor([True, False]).repeat(len(start))
        none = dict.fromkeys(("chunk_starts", "chunk_cnts"))
        ray = torch.tensor(rays)
        intervals = SimpleNamespace(**none, vals=both, is_left=left, is_right=~left, ray_indices=ray)
        return intervals, SimpleNamespace(**none, vals=start + step / 2, ray_indices=ray)

    def exclusive_sum(starts, counts, values, normalize, backward):
        parts = values.split(counts.tolist())
        flip = [part.flip(0) if backward else part for part in parts]
        sums = [part.cumsum(0) - part for part in flip]
        return torch.cat([part.flip(0) if backward else part for part in sums])

    def pack(ray, count):
        counts = torch.bincount(ray, minlength=count)
        return torch.stack([counts.cumsum(0) - counts, counts], -1)

    monkeypatch.setattr(nerfacc.grid._C, "traverse_grids", traverse)
    monkeypatch.setattr(nerfacc.grid, "ray_aabb_intersect", nerfacc.grid._ray_aabb_intersect)
    monkeypatch.setattr(nerfacc.scan._C, "exclusive_sum", exclusive_sum)
    monkeypatch.setattr(nerfacc.volrend, "pack_info", pack)


@pytest.mark.parametrize("strata", [(0, 7), (3, 5)])
def test_nerfacc_gives_the_references_samples_and_weights(strata: tuple[int, int], nerfacc_on_cpu: None):
    generator = torch.Generator().manual_seed(0)
    origins = torch.tensor([0.0, 0.0, 3.0]) + 0.3 * torch.randn(40, 3, generator=generator)
    directions = torch.tensor([0.0, 0.0, -0.7]) + 0.1 * torch.randn(40, 3, generator=generator)
    near, far = cube_interval(origins, directions)
    rays = [values[far > near] for values in (origins, directions, near, (far - near) / 7)]
    count = len(rays[0])
    occupancy = OccupancyGrid(5, threshold=0.01, decay=0.9)  # no middle of a stratum lies on a face between cells
    occupancy.occupied = torch.rand(125, generator=generator) < 0.4
    results = []
    for backend in (torch_sampler, nerfacc_sampler):
        ray, distance = backend.sample(*rays, strata, occupancy, jitter=False)
        optical_depth = torch.rand(len(ray), generator=torch.Generator().manual_seed(1)).requires_grad_()
        weights = backend.compute_weights(optical_depth, ray, count)
        (weights * torch.arange(len(ray))).sum().backward()
        results.append((ray, distance, weights.detach(), optical_depth.grad))
    assert count > 30 and 20 < len(results[0][0]) < 40 * 7
    for reference, other in zip(*results, strict=True):
        torch.testing.assert_close(other, reference, atol=1e-5, rtol=1e-4)


def test_nerfaccs_jittered_samples_lie_in_their_strata(nerfacc_on_cpu: None):
    origins, directions = _along_z([1.0] * 200)
    near, far = cube_interval(origins, directions)
    ray, distance = nerfacc_sampler.sample(origins, directions, near, (far - near) / 4, (0, 4), None, jitter=True)
    assert (ray.view(200, 4) == torch.arange(200)[:, None]).all()
    position = (distance.view(200, 4) - near[:, None]) / (far - near)[:, None] * 4
    assert (position.floor() == torch.arange(4)).all()
    np.testing.assert_allclose(np.quantile(position[:, 0], [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.1)


def test_an_unavailable_backend_is_replaced_and_logged(capsys):
    rays, occupancy = _along_z([1.0]), OccupancyGrid(4, threshold=0.01, decay=0.9)
    requested = march(*rays, 8, occupancy, _fog(1.0), training=False, backend="nerfacc")
    plain = march(*rays, 8, occupancy, _fog(1.0), training=False, backend="torch")
    torch.testing.assert_close(requested.rgb, plain.rgb)
    assert "ray marching backend: torch (nerfacc needs a CUDA device)" in capsys.readouterr().out
