"""Skips optimiser steps whose gradients are not finite."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from nerfstudio.utils.rich_utils import CONSOLE
from torch import nn

from dfa_nerfstudio.data.finite_check import not_finite
from dfa_nerfstudio.errors import UserError

MAX_IN_A_ROW = 50
"""Number of steps in a row that are skipped; then training ends, because it learns nothing."""


class NonFiniteGradientGuard:
    """Skips a step of all optimisers when any gradient is not finite, and counts such steps.

    One such step would put NaN into every weight it touches, and from there into Adam's moments.
    """

    def __init__(self, parameters: Iterable[tuple[str, nn.Parameter]]) -> None:
        """
        Args:
            parameters: names and parameters of all optimisers.
        """
        self._parameters = dict(parameters)
        self.num_skipped = 0
        """Number of steps skipped so far."""
        self._in_a_row = 0

    def watch(self, optimizers: Iterable[torch.optim.Optimizer]) -> None:
        """Checks gradients before each step of the first optimiser; without gradients the others do nothing either."""
        next(iter(optimizers)).register_step_pre_hook(self._check)

    def _check(self, *_: Any) -> None:
        gradients = {name: one.grad for name, one in self._parameters.items() if one.grad is not None}
        if torch.isfinite(nn.utils.get_total_norm(list(gradients.values()))):
            self._in_a_row = 0
            return
        for parameter in self._parameters.values():
            parameter.grad = None
        self.num_skipped += 1
        self._in_a_row += 1
        where = (not_finite(gradients) or ["their norm"])[0]
        if self._in_a_row == MAX_IN_A_ROW:
            raise UserError(
                f"training: gradients ({where}) were not finite in {MAX_IN_A_ROW} steps in a row; resume from an "
                "earlier checkpoint with `load_dir`, or train with a lower learning rate"
            )
        if self.num_skipped in (1, 10, 100, 1000):
            text = f"gradients ({where}) were not finite: {self.num_skipped} step(s) skipped so far"
            CONSOLE.print(text, style="yellow", markup=False)
