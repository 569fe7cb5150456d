"""Objectives, training options and hardware of the attribute models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass
class FitConfig:
    """Training options of one model."""

    steps: int = 1000
    """Number of optimiser steps."""
    learning_rate: float = 1e-3
    """Peak learning rate of AdamW, reached by linear warm-up over 5 % of the steps; a cosine schedule follows."""
    weight_decay: float = 1e-2
    """Decoupled weight decay of AdamW."""
    num_validations: int = 10
    """Number of validations during training, where there are validation data. The best weights are kept."""
    patience: int = 4
    """Number of validations without improvement after which training stops."""

    def scaled(self, factor: float) -> FitConfig:
        """A copy with `factor` times the steps (at least 2)."""
        steps = max(2, round(self.steps * factor))
        return FitConfig(steps, self.learning_rate, self.weight_decay, self.num_validations, self.patience)


class Objective(nn.Module, ABC):
    """A model together with its training data, which are buffers so that they move to the model's device."""

    @abstractmethod
    def training_loss(self, progress: float) -> dict[str, Tensor]:
        """Computes the loss terms, whose sum is minimised, on a random batch that the objective draws itself.

        Args:
            progress: 0 at the first step, 1 at the last.
        """

    def validation_loss(self) -> Tensor | None:
        """Computes the scalar loss on validation data, lower is better; None without validation data."""
        return None

    def register_data(self, **data: Tensor) -> None:
        """Registers tensors that move with the module but are not part of its weights."""
        for name, values in data.items():
            self.register_buffer(name, values, persistent=False)


@dataclass
class Hardware:
    """Training device, as lightning's own options."""

    accelerator: str = "auto"
    """Name of the accelerator: auto, cpu, gpu, mps or another one that lightning supports."""
    devices: int = 1
    """Number of devices; each draws its own batches."""
