"""The mean of a model's weights over the end of its training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class WeightAverage:
    """Averages weights over the last steps (Izmailov et al. 2018), each of which fits other rays.

    With the mean, learning rates can stay high until the end.
    """

    def __init__(self, parameters: Iterable[tuple[str, nn.Parameter]], start: float, interval: int) -> None:
        """
        Args:
            parameters: names and parameters.
            start: share of the training after which weights are averaged; 1 averages none.
            interval: steps from one value to the next.
        """
        self._parameters = dict(parameters)
        self._start, self._interval = start, interval
        self._mean: dict[str, Tensor] = {}
        self._count = 0

    @torch.no_grad()
    def update(self, step: int, progress: float) -> None:
        """Adds the weights to the mean, if they are due.

        Args:
            step: number of the step.
            progress: progress of the training, 0 to 1.
        """
        if progress < self._start:
            self._count, self._mean = 0, {}  # a finished training that goes on with more steps
        if progress < self._start or step % self._interval:
            return
        self._count += 1
        for name, parameter in self._parameters.items():
            if self._count == 1:
                self._mean[name] = parameter.detach().clone()
            else:
                self._mean[name].lerp_(parameter, 1 / self._count)

    @torch.no_grad()
    def apply(self) -> None:
        """Replaces the weights by their mean, if there is one."""
        for name, mean in self._mean.items():
            self._parameters[name].copy_(mean)

    def state(self) -> dict[str, Any]:
        """What averaging needs to go on exactly."""
        return {"count": self._count, "mean": self._mean}

    def restore(self, state: dict[str, Any]) -> None:
        """Restores `state`."""
        self._count = state["count"]
        self._mean = {name: mean.to(self._parameters[name]) for name, mean in state["mean"].items()}
