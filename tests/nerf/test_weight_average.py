"""Averaged weights."""

from __future__ import annotations

import torch
from torch import nn

from dfa_nerfstudio.nerf.weight_average import WeightAverage


def test_the_result_is_the_mean_of_the_last_weights() -> None:
    layer, values = nn.Linear(3, 2), torch.randn(20, 2, 3)
    averages = [WeightAverage(layer.named_parameters(), start=0.5, interval=3) for _ in range(3)]
    for step in range(20):
        layer.weight.data.copy_(values[step])
        averages[0].update(step, step / 20)
        averages[1 if step < 14 else 2].update(step, step / 20)
        if step == 13:
            averages[2].restore(averages[1].state())
    for average in (averages[0], averages[2]):
        layer.weight.data.zero_()
        average.apply()
        torch.testing.assert_close(layer.weight.data, values[[12, 15, 18]].mean(0))
    WeightAverage(layer.named_parameters(), start=1.0, interval=3).apply()  # changes nothing
    torch.testing.assert_close(layer.weight.data, values[[12, 15, 18]].mean(0))
