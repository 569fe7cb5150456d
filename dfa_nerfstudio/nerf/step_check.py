"""Ends a training whose losses stay NaN, with the name of the array that they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from dfa_nerfstudio.data.finite_check import not_finite, require_finite
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.nerf.gradient_guard import MAX_IN_A_ROW


class StepCheck:
    """Checks the losses of each training step.

    A single loss that is not finite does no harm, because `NonFiniteGradientGuard`, or the gradient scaler of mixed
    precision, skips the step.
    """

    def __init__(self) -> None:
        self._in_a_row = 0

    def check(self, losses: Mapping[str, Tensor], arrays: Callable[[], Mapping[str, object]]) -> None:
        """Does nothing as long as losses are finite.

        Args:
            losses: terms whose sum is minimised.
            arrays: returns what they were computed from: weights, batch, conditions.

        Raises:
            UserError: if they are not, and one of the arrays is not either, or they have not been for many steps.
        """
        if torch.isfinite(torch.stack([loss.detach() for loss in losses.values()]).sum()):
            self._in_a_row = 0
            return
        require_finite(arrays(), "training", "it cannot go on; resume from an earlier checkpoint with `load_dir`")
        self._in_a_row += 1
        if self._in_a_row == MAX_IN_A_ROW:
            raise UserError(
                f"training: the loss {', '.join(not_finite(losses))} was not finite in {MAX_IN_A_ROW} steps in a row; "
                "resume from an earlier checkpoint with `load_dir`, or train with a lower learning rate"
            )
