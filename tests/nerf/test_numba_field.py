"""The compiled field of training against plain torch: outputs and all gradients."""

from __future__ import annotations

import pytest
import torch

from dfa_nerfstudio.nerf.conditions import Conditions
from dfa_nerfstudio.nerf.kernels import numba_field
from tests.nerf.test_triton_renderer import DENSE, VARIANTS, scattered_field

pytestmark = pytest.mark.usefixtures("torch_threads")


@pytest.mark.parametrize("count", [5000, 7])
@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_gradients_equal_those_of_torch(options: dict[str, str | int], count: int) -> None:
    torch.set_num_threads(2)
    field = scattered_field(resolution=DENSE, **options).train()
    generator = torch.Generator().manual_seed(3)  # with seed 2, one unit is 0 to rounding
    head, torso = torch.rand(2, count, 3, generator=generator) * 2.4 - 1.2
    frame = torch.randint(6, (count,), generator=generator)
    inputs = [torch.randn(6, size, generator=generator).requires_grad_() for size in (5, 3, 12, 4)]
    factors = torch.randn(count, 6, generator=generator)
    results = []
    for compiled in (True, False):
        field.config.compiled = compiled
        output = field(head, torso, frame, Conditions(*inputs))
        values = torch.cat([output.density[:, None], output.rgb, output.gates], -1)
        parameters = [parameter for _, parameter in sorted(field.named_parameters())]
        gradients = torch.autograd.grad((values * factors).sum(), [*parameters, *inputs], allow_unused=True)
        results.append([values.detach(), *(one for one in gradients if one is not None)])
    assert field._failure == ""
    assert len(results[0]) == len(results[1]) > 15 and all(one.any() for one in results[1] if count > 7)
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4 * float(theirs.abs().max()), rtol=1e-3)


def test_a_field_that_differs_is_trained_by_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    field = scattered_field(resolution=DENSE).train()
    assert numba_field.failure(field) is None
    assert "hash" in str(numba_field.failure(scattered_field()))
    backward = numba_field.CompiledField.backward

    def wrong(ctx, *outputs):
        *gradients, last = backward(ctx, *outputs)
        return *gradients, 1.03 * last

    monkeypatch.setattr(numba_field.CompiledField, "backward", staticmethod(wrong))
    assert "differ from torch by 0.03" in str(numba_field.failure(field))
