"""Trains the renderer of a dataset folder in this process, as `ns-train` does."""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from dfa_nerfstudio.errors import INTERRUPTED, UserError, errors_for_caller
from dfa_nerfstudio.talk.find_run import CHECKPOINTS, CONFIG
from dfa_nerfstudio.workflow.preview import PreviewWriter

if TYPE_CHECKING:
    from nerfstudio.engine.trainer import TrainerConfig

METHODS = "nerfstudio.method_configs"
"""Group of entry points in which nerfstudio's methods are registered."""
RUNS, RUN = "runs", "run"
"""Names of the folder of runs and of the one run in it."""


@dataclass
class TrainConfig:
    """How the renderer is trained."""

    method: str = "auto"
    """Registered nerfstudio method: dfa-nerf-lite, dfa-nerf, or one of another package that is built on them. `auto` is
    dfa-nerf on a GPU, and dfa-nerf-lite otherwise."""
    minutes: float | None = 5.0
    """Training time in minutes. The learning rates decay accordingly, so that a short training ends as settled as a
    long one. None trains all steps of the method."""
    seed: int = 42
    """Random seed."""
    preview_seconds: float = 10.0
    """Seconds between two previews, `preview.jpg` in the folder of the run; 0 writes none."""

    def __post_init__(self) -> None:
        if self.minutes is not None and not 0 < self.minutes < 1e5:
            raise UserError(f"`minutes={self.minutes}`: give a number above 0")
        if not self.preview_seconds >= 0:
            raise UserError(f"`preview_seconds={self.preview_seconds}`: give a number of at least 0")


def train_field(data: Path, output: Path, config: TrainConfig) -> Path:
    """Trains a renderer and returns the run's `config.yml`.

    A run that was interrupted goes on from its checkpoint. Progress is reported as the stage `training the renderer`.

    Args:
        data: dataset folder with attribute models.
        output: folder that receives the run, as `runs/METHOD/run`.
        config: options.

    Raises:
        UserError: if the folder, the method or an option cannot be used.
        KeyboardInterrupt: after an interrupt; the checkpoint is saved.
    """
    trainer_config = _trainer_config(data, output, config)
    run = trainer_config.get_base_dir()
    if list((run / CHECKPOINTS).glob("step-*.ckpt")):
        trainer_config.load_dir = run / CHECKPOINTS
    trainer_config.save_config()
    for seeded in (random.seed, np.random.seed, torch.manual_seed):
        seeded(config.seed)
    try:
        with errors_for_caller():
            trainer = trainer_config.setup(local_rank=0, world_size=1)
            trainer.setup()
            if config.preview_seconds:
                trainer.callbacks.append(PreviewWriter(trainer, run, config.preview_seconds).callback())
            trainer.train()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            raise KeyboardInterrupt from None
        raise
    finally:
        _close_writers()
    return run / CONFIG


def _trainer_config(data: Path, output: Path, config: TrainConfig) -> TrainerConfig:
    """Returns the trainer's configuration for one run of a registered method."""
    method = config.method
    if method == "auto":
        method = "dfa-nerf" if torch.cuda.is_available() else "dfa-nerf-lite"
    found = list(entry_points(group=METHODS, name=method))
    if not found:
        names = ", ".join(sorted({entry.name for entry in entry_points(group=METHODS)}))
        raise UserError(f"`method={method}`: not installed; there are {names}")
    trainer: TrainerConfig = copy.deepcopy(found[0].load().config)
    if not hasattr(trainer.pipeline, "schedule"):
        raise UserError(f"`method={method}`: does not train talking heads; give dfa-nerf-lite or dfa-nerf")
    trainer.output_dir, trainer.experiment_name, trainer.timestamp = output, RUNS, RUN
    trainer.data = trainer.pipeline.datamanager.data = data
    trainer.pipeline.schedule.max_seconds = None if config.minutes is None else 60 * config.minutes  # type: ignore[attr-defined]
    trainer.machine.seed = config.seed
    trainer.vis = "tensorboard"
    trainer.logging.local_writer.enable = False  # its table of steps; progress is reported instead
    if config.minutes is not None:
        trainer.max_num_iterations = max(trainer.max_num_iterations, 10**6)  # the clock ends the training
    return trainer


def _close_writers() -> None:
    """Forgets nerfstudio's loggers, which otherwise also log the next training of this process."""
    from nerfstudio.utils import writer

    writer.EVENT_WRITERS.clear()
