"""What is minimised, how long, and on what hardware."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass
class FitConfig:
    """How long and how fast to train."""

    steps: int = 1000
    """Optimiser steps."""
    learning_rate: float = 1e-3
    """Peak of the cosine schedule (AdamW), reached after 5 % of the steps."""
    weight_decay: float = 1e-2
    """AdamW's decoupled weight decay."""
    checks: int = 10
    """How often to validate, where the objective has validation frames: the best weights are kept."""
    patience: int = 4
    """Stop after as many checks without a better one."""

    def scaled(self, effort: float) -> FitConfig:
        """The same with `effort` times the steps (at least 2)."""
        return FitConfig(
            max(2, round(self.steps * effort)), self.learning_rate, self.weight_decay, self.checks, self.patience
        )


class Objective(nn.Module, ABC):
    """A model together with its training data (kept as buffers, so that they follow it to its device)."""

    @abstractmethod
    def training_loss(self, progress: float) -> dict[str, Tensor]:
        """The terms of the loss on a batch that the objective draws itself; their sum is minimised.

        Args:
            progress: 0 at the first step, 1 at the last.
        """

    def validation_loss(self) -> Tensor | None:
        """Scalar on frames that train nothing, lower is better; None where there are none."""
        return None

    def hold(self, **data: Tensor) -> None:
        """Registers tensors that move with the module but are not part of its weights."""
        for name, values in data.items():
            self.register_buffer(name, values, persistent=False)


@dataclass
class Hardware:
    """Where to train; lightning's own flags."""

    accelerator: str = "auto"
    """auto, cpu, gpu, mps and whatever else lightning knows."""
    devices: int = 1
    """How many of them; each draws batches of its own."""
