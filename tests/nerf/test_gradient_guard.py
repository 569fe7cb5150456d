"""Optimiser steps with gradients that are not finite are skipped."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.nerf.gradient_guard import MAX_IN_A_ROW, NonFiniteGradientGuard


def test_non_finite_gradient_skips_the_step_and_is_counted():
    first, second = nn.Linear(3, 2), nn.Linear(2, 1)
    optimizers = [torch.optim.Adam(part.parameters(), lr=0.1) for part in (first, second)]
    guard = NonFiniteGradientGuard(nn.ModuleDict({"first": first, "second": second}).named_parameters())
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
    assert str(before) == str(after) and guard.num_skipped == 1
    step(1.0)
    assert not torch.equal(before[1]["weight"], second.weight) and guard.num_skipped == 1
    with pytest.raises(
        UserError, match=rf"gradients \(first\.weight\) were not finite in {MAX_IN_A_ROW} steps in a row"
    ):
        for _ in range(MAX_IN_A_ROW):
            step(float("nan"))
