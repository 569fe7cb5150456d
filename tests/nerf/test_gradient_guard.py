"""Steps that are left out, and averaged weights."""

from __future__ import annotations

import copy

import torch
from torch import nn

from dfa_nerfstudio.nerf.gradient_guard import StepGuard, WeightAverage


def test_a_step_with_a_gradient_that_is_not_finite_changes_nothing_and_is_counted():
    first, second = nn.Linear(3, 2), nn.Linear(2, 1)
    optimizers = [torch.optim.Adam(part.parameters(), lr=0.1) for part in (first, second)]
    guard = StepGuard([*first.parameters(), *second.parameters()])
    guard.watch(optimizers)

    def step(value: float) -> None:
        for optimizer in optimizers:
            optimizer.zero_grad()
        second(first(torch.full((4, 3), value))).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()

    step(1.0)
    before = copy.deepcopy([first.state_dict(), second.state_dict(), [o.state_dict() for o in optimizers]])
    step(float("nan"))
    after = [first.state_dict(), second.state_dict(), [o.state_dict() for o in optimizers]]
    assert str(before) == str(after) and guard.skipped == 1
    step(1.0)
    assert not torch.equal(before[1]["weight"], second.weight) and guard.skipped == 1


def test_the_average_takes_the_weights_place_and_gives_it_back():
    layer = nn.Linear(1, 1, bias=False)
    average, expected = WeightAverage(layer, decay=0.5), layer.weight.detach().clone()
    for step in range(20):
        layer.weight.data += 1
        average.update(step)
        expected += (1 - min(0.5, (1 + step) / (10 + step))) * (layer.weight.detach() - expected)
    last, parameter = layer.weight.detach().clone(), layer.weight
    average.swap(True)
    torch.testing.assert_close(layer.weight.detach(), expected)
    average.swap(False)
    assert torch.equal(layer.weight, last) and layer.weight is parameter
    assert {"average_0"} == set(average.state_dict())
