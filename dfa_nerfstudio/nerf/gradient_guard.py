"""What happens around an optimiser's step: bad ones are left out, and weights are averaged over the last ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from nerfstudio.utils.rich_utils import CONSOLE
from torch import Tensor, nn


class StepGuard:
    """Leaves out a step, of all optimisers, when any gradient is not finite, and counts it.

    One such step would otherwise put NaN into every weight it touches, and from there into Adam's memory.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self._parameters = list(parameters)
        self.skipped = 0

    def watch(self, optimizers: Iterable[torch.optim.Optimizer]) -> None:
        """Looks before the first optimiser's steps; without gradients the others do nothing either."""
        next(iter(optimizers)).register_step_pre_hook(self._look)

    def _look(self, *_: Any) -> None:
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        if torch.isfinite(nn.utils.get_total_norm(gradients)):
            return
        for parameter in self._parameters:
            parameter.grad = None
        self.skipped += 1
        if self.skipped in (1, 10, 100, 1000):
            CONSOLE.print(f"gradients were not finite: {self.skipped} step(s) left out so far", style="yellow")


class WeightAverage(nn.Module):
    """Moving average of a module's parameters, which takes their place while the module is evaluated.

    Lies in the checkpoint beside the weights themselves, so that training can go on from there.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        """
        Args:
            module: whose parameters.
            decay: share of the average that is kept at each step.
        """
        super().__init__()
        self.decay = decay
        self._parameters_of = [parameter for parameter in module.parameters() if parameter.requires_grad]
        for number, parameter in enumerate(self._parameters_of):
            self.register_buffer(f"average_{number}", parameter.detach().clone())
        self.swapped = False

    def _averages(self) -> list[Tensor]:
        return list(self.buffers())

    @torch.no_grad()
    def update(self, step: int) -> None:
        """To call after each step; young averages forget faster."""
        keep = min(self.decay, (1 + step) / (10 + step))
        for parameter, average in zip(self._parameters_of, self._averages(), strict=True):
            average.lerp_(parameter, 1 - keep)

    @torch.no_grad()
    def swap(self, averaged: bool) -> None:
        """Puts the averages in the parameters' place, or back."""
        if averaged == self.swapped:
            return
        for parameter, average in zip(self._parameters_of, self._averages(), strict=True):
            parameter.data, average.data = average.data, parameter.data
        self.swapped = averaged
