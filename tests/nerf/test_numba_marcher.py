"""Compiled marching in training against plain torch: outputs and all gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from dfa_nerfstudio.nerf.conditions import Conditions
from dfa_nerfstudio.nerf.coordinate_frames import Rays
from dfa_nerfstudio.nerf.kernels import numba_marcher
from dfa_nerfstudio.nerf.kernels.numba_threads import torch_in_one_thread
from dfa_nerfstudio.nerf.marching import RenderOutput, march
from tests.nerf.test_triton_renderer import DENSE, NUMBA_VARIANTS, SCENE, half_empty, scattered_field

pytestmark = pytest.mark.usefixtures("torch_threads")
FRAMES, SAMPLES = 6, 7


def rays_of_frames(count: int) -> Rays:
    """Rays that all hit the cube: torch draws no random numbers for those that miss it."""
    generator = torch.Generator().manual_seed(3)
    origins = torch.randn(count, 3, generator=generator) * 0.05 + torch.tensor([0.0, 0.0, 3.0])
    directions = torch.randn(count, 3, generator=generator) * 0.1 - torch.tensor([0.0, 0.0, 1.0])
    turn = torch.randn(FRAMES, 3, 3, generator=generator) * 0.05
    to_torso = torch.diag(torch.tensor([1.0, 1.0, -1.0])) + turn
    to_torso = torch.cat([to_torso, torch.tensor([0.0, 0.0, 3.2]).expand(FRAMES, 3)[..., None]], -1)
    frame = torch.randint(FRAMES, (count,), generator=generator)
    return Rays(origins, directions, frame, to_torso, to_torso)


@pytest.mark.parametrize(("count", "occupied"), [(1500, True), (7, False)])
@pytest.mark.parametrize("options", NUMBA_VARIANTS.values(), ids=NUMBA_VARIANTS)
def test_gradients_equal_those_of_torch(options: dict[str, str | int], count: int, occupied: bool) -> None:
    torch.set_num_threads(2)
    field = scattered_field(resolution=DENSE, **options).train()
    generator = torch.Generator().manual_seed(4)
    inputs = [torch.randn(FRAMES, size, generator=generator).requires_grad_() for size in (5, 3, 12, 4)]
    conditions, rays, factors = Conditions(*inputs), rays_of_frames(count), torch.randn(count, 7, generator=generator)
    seen = []

    def by_torch() -> RenderOutput:
        return march(
            rays.head_origins,
            rays.head_directions,
            SAMPLES,
            occupancy,
            lambda ray, distance: field(
                rays.in_head_space(ray, distance),
                rays.in_torso_space(ray, distance, SCENE),
                rays.frame[ray],
                conditions,
            ),
            training=True,
            backend="torch",
        )

    def compiled() -> RenderOutput:
        with torch_in_one_thread():
            output = numba_marcher.march(field, SCENE, rays, conditions, SAMPLES, occupancy, stop_below=0.0)
            assert torch.get_num_threads() == 1
            return output

    def results(render: Callable[[], RenderOutput]) -> list[torch.Tensor]:
        torch.manual_seed(5)
        output = render()
        seen.append(output.num_samples)
        values = torch.cat([output.rgb, output.accumulation[:, None], output.depth[:, None], output.gates], -1)
        parameters = [parameter for _, parameter in sorted(field.named_parameters())]
        gradients = torch.autograd.grad((values * factors).sum(), [*parameters, *inputs], allow_unused=True)
        weights = [] if occupancy is None else [occupancy.max_weight]
        return [values.detach(), *weights, *(one for one in gradients if one is not None)]

    occupancy = half_empty() if occupied else None
    expected = results(by_torch)
    occupancy = half_empty() if occupied else None
    found = results(compiled)
    assert seen[0] == seen[1] > count
    assert len(found) == len(expected) > 15 and all(one.any() for one in expected if count > 7)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4 * float(theirs.abs().max()), rtol=1e-3)
    torch.manual_seed(5)
    stopped = numba_marcher.march(field, SCENE, rays, conditions, SAMPLES, occupancy, stop_below=0.2)
    assert (stopped.rgb - expected[0][:, :3]).abs().max() < 0.2
    assert stopped.num_samples < seen[0] or count == 7


def test_a_field_that_differs_is_trained_by_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    field = scattered_field(resolution=DENSE).train()
    assert numba_marcher.failure(field) is None
    assert "hash" in str(numba_marcher.failure(scattered_field()))
    backward = numba_marcher.CompiledMarch.backward

    def wrong(ctx, *outputs):
        gradients = backward(ctx, *outputs)
        return *gradients[:5], 1.03 * gradients[5], *gradients[6:]

    monkeypatch.setattr(numba_marcher.CompiledMarch, "backward", staticmethod(wrong))
    assert "differ from torch by 0.03" in str(numba_marcher.failure(field))
