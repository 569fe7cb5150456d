"""The compiled renderer of a CPU against marching by the reference."""

from __future__ import annotations

import pytest
import torch

from dfa_nerfstudio.nerf.kernels.numba_field import unavailable_reason
from dfa_nerfstudio.nerf.kernels.numba_renderer import NumbaRenderer
from dfa_nerfstudio.nerf.marching import march
from dfa_nerfstudio.nerf.marching.depth_guided import one_sample
from tests.nerf.test_triton_renderer import (
    DENSE,
    NUMBA_VARIANTS,
    SCENE,
    half_empty,
    random_conditions,
    scattered_field,
    scattered_rays,
)

pytestmark = pytest.mark.usefixtures("torch_threads")


@torch.no_grad()
@pytest.mark.parametrize("occupied", [True, False])
@pytest.mark.parametrize("options", NUMBA_VARIANTS.values(), ids=NUMBA_VARIANTS)
def test_outputs_equal_those_of_marching(options: dict[str, str | int], occupied: bool) -> None:
    field, occupancy = scattered_field(resolution=DENSE, **options), half_empty() if occupied else None
    rays, conditions, samples = scattered_rays(5000), random_conditions(), 16
    renderer = NumbaRenderer(field, SCENE, conditions, samples, occupancy, min_weight=0.0)

    def query(rays, ray, distance):
        points = rays.in_head_space(ray, distance), rays.in_torso_space(ray, distance, SCENE)
        return field(*points, rays.frame[ray], conditions)

    marched = march(
        rays.head_origins,
        rays.head_directions,
        samples,
        occupancy,
        lambda ray, distance: query(rays, ray, distance),
        training=False,
        slabs=samples,
        backend="torch",
    )
    assert marched.accumulation.std() > 0.05 and marched.gates.std() > 0.01
    for threads in (1, 2):
        torch.set_num_threads(threads)
        rendered = renderer.march(rays)
        for name in ("rgb", "accumulation", "depth", "gates"):
            torch.testing.assert_close(getattr(rendered, name), getattr(marched, name), atol=1e-4, rtol=1e-4)
        assert rendered.num_samples == pytest.approx(marched.num_samples, rel=1e-3)
    generator = torch.Generator().manual_seed(0)
    ray = torch.randperm(5000, generator=generator)[:4500]
    opacity, distance = torch.rand(2, 4500, generator=generator) + torch.tensor([[0.0], [2.0]])
    expected = one_sample(rays, ray, opacity, distance, query)
    torch.testing.assert_close(renderer.one_sample(rays, ray, opacity, distance), expected, atol=1e-4, rtol=1e-4)


def test_fields_that_it_cannot_render_are_named() -> None:
    assert unavailable_reason(scattered_field(resolution=DENSE)) is None
    for field, message in (
        (scattered_field(), "hash"),
        (scattered_field(resolution=DENSE, features=2), "features"),
        (torch.nn.Linear(1, 1), "conditioned field"),
    ):
        assert message in str(unavailable_reason(field))


def test_numbers_that_are_not_finite_are_no_addresses() -> None:
    rays, conditions = scattered_rays(300), random_conditions()
    for value in (torch.nan, torch.inf, -torch.inf, 1e38):
        rays.head_origins[100:200], rays.head_directions[150:250] = value, value
        renderer = NumbaRenderer(scattered_field(resolution=DENSE), SCENE, conditions, 8, half_empty())
        finite = renderer.march(rays).rgb[:100]
        assert torch.isfinite(finite).all() and finite.any()
        renderer.one_sample(rays, torch.arange(300), torch.ones(300), torch.full((300,), value))
