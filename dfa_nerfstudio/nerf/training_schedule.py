"""How far training has come, by steps or by the clock, and the learning rate that goes with it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation


@dataclass
class BudgetConfig:
    """When training ends, and how the learning rates fall until then."""

    max_seconds: float | None = None
    """Stops training after this many seconds, even if steps are left. The learning rates fall accordingly, so that a
    short training ends as settled as a long one."""
    warmup_steps: int = 50
    """Steps over which the learning rates rise."""
    final_rate: float = 0.03
    """Learning rates at the end, as a share of those at the start."""


class Budget:
    """Sets every optimiser's learning rate by progress, and stops the trainer when the time is up."""

    def __init__(self, config: BudgetConfig) -> None:
        self.config = config
        self.started: float | None = None
        self.progress = 0.0
        """From 0 to 1: the larger of the share of steps and the share of seconds used."""

    def rate(self, step: int) -> float:
        """Factor on the learning rates."""
        warmup = min(1.0, (step + 1) / max(self.config.warmup_steps, 1))
        return warmup * self.config.final_rate**self.progress

    def callback(self, attributes: TrainingCallbackAttributes) -> TrainingCallback:
        """To run before each iteration."""
        trainer, optimizers = attributes.trainer, attributes.optimizers
        assert trainer is not None and optimizers is not None

        def advance(step: int) -> None:
            now = time.monotonic()
            self.started = now if self.started is None else self.started
            self.progress = step / max(trainer.config.max_num_iterations, 1)
            limit = self.config.max_seconds
            if limit is not None:
                self.progress = max(self.progress, (now - self.started) / limit)
                if self.progress >= 1.0:
                    trainer.stop_training = True
            self.progress = min(self.progress, 1.0)
            factor = self.rate(step)
            for name, optimizer in optimizers.optimizers.items():
                for group in optimizer.param_groups:
                    group["lr"] = optimizers.config[name]["optimizer"].lr * factor

        return TrainingCallback([TrainingCallbackLocation.BEFORE_TRAIN_ITERATION], advance)
