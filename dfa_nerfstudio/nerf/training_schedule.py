"""Length of a training, by steps or by the clock, and the learning rates over it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation

from dfa_nerfstudio.nerf.processes import largest
from dfa_nerfstudio.reporting.progress import report_progress


@dataclass
class TrainingScheduleConfig:
    """When training ends, and how the learning rates decay until then."""

    max_seconds: float | None = None
    """Stops training after this many seconds, even if steps are left. The learning rates decay accordingly, so that a
    short training ends as settled as a long one."""
    warmup_steps: int = 50
    """Number of steps over which the learning rates rise linearly."""
    average_from: float = 0.8
    """Share of the training after which weights are averaged; the mean is the result. 1 for no averaging."""
    final_rate: float = 0.1
    """Learning rates at the end, as a fraction of those after the warm-up; the decay is exponential."""


class TrainingSchedule:
    """Sets every optimiser's learning rate by the training's progress, and stops the trainer at the time limit.

    torch's schedulers count steps; a training that is limited by the clock does not know how many it will make.
    """

    def __init__(self, config: TrainingScheduleConfig) -> None:
        self.config = config
        self.progress = 0.0
        """Progress of the training, 0 to 1: the larger of the fractions of steps and of seconds used."""
        self.seconds = 0.0
        """Seconds of training so far, those before an interruption included."""
        self._start: float | None = None

    def rate(self, step: int) -> float:
        """Factor on the learning rates at a step."""
        warmup = min(1.0, (step + 1) / max(self.config.warmup_steps, 1))
        return warmup * self.config.final_rate**self.progress

    def callback(self, attributes: TrainingCallbackAttributes) -> TrainingCallback:
        """The callback that updates progress and learning rates before each iteration."""
        trainer, optimizers = attributes.trainer, attributes.optimizers
        assert trainer is not None and optimizers is not None
        num_steps = trainer.config.max_num_iterations

        def advance(step: int) -> None:
            now = time.monotonic()
            self._start = now - self.seconds if self._start is None else self._start
            self.seconds = now - self._start
            by_clock = 0.0 if self.config.max_seconds is None else self.seconds / self.config.max_seconds
            by_clock = largest(by_clock)  # all processes must end with the same step
            if by_clock >= 1.0:
                trainer.stop_training = True
            self.progress = min(max(step / max(num_steps, 1), by_clock), 1.0)
            report_progress("training the renderer", self.progress)
            factor = self.rate(step)
            for name, optimizer in optimizers.optimizers.items():
                for group in optimizer.param_groups:
                    group["lr"] = optimizers.config[name]["optimizer"].lr * factor

        return TrainingCallback([TrainingCallbackLocation.BEFORE_TRAIN_ITERATION], advance)
