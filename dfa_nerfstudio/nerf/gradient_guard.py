"""Skips optimiser steps whose gradients are not finite."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from nerfstudio.utils.rich_utils import CONSOLE
from torch import nn


class NonFiniteGradientGuard:
    """Skips a step of all optimisers when any gradient is not finite, and counts such steps.

    One such step would put NaN into every weight it touches, and from there into Adam's moments.
    """

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        """
        Args:
            parameters: the parameters of all optimisers.
        """
        self._parameters = list(parameters)
        self.num_skipped = 0
        """Number of steps skipped so far."""

    def watch(self, optimizers: Iterable[torch.optim.Optimizer]) -> None:
        """Checks gradients before each step of the first optimiser; without gradients the others do nothing either."""
        next(iter(optimizers)).register_step_pre_hook(self._check)

    def _check(self, *_: Any) -> None:
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        if torch.isfinite(nn.utils.get_total_norm(gradients)):
            return
        for parameter in self._parameters:
            parameter.grad = None
        self.num_skipped += 1
        if self.num_skipped in (1, 10, 100, 1000):
            CONSOLE.print(f"gradients were not finite: {self.num_skipped} step(s) skipped so far", style="yellow")
