"""Minimising an objective with lightning: one loop for all the sequence models."""

from __future__ import annotations

import logging
import tempfile
import warnings
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from dfa_nerfstudio.data.files import written_whole
from dfa_nerfstudio.errors import UserError


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


def fit(
    objective: Objective,
    config: FitConfig,
    *,
    name: str,
    seed: int = 0,
    progress: bool = True,
    hardware: Hardware | None = None,
    resume: Path | None = None,
) -> dict[str, float]:
    """Minimises `objective` in place; the best weights by its validation loss stay, where it has one.

    Args:
        objective: the model with its data.
        config: steps and rates.
        name: shown by the progress bar.
        seed: makes the run repeatable; the global random state is left as it was.
        progress: whether to show a bar.
        hardware: one device that lightning chooses, by default.
        resume: folder in which the state is kept while training: what is found there is gone on with.

    Returns:
        The last value of each term of the loss, and `validation` (the best) where there is one.

    Raises:
        UserError: if there is no such hardware.
    """
    import lightning as L  # costs seconds: whoever only generates does not pay them
    from lightning.fabric.utilities.exceptions import MisconfigurationException
    from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar
    from torch.utils.data import DataLoader

    from dfa_nerfstudio.attributes.lightning_module import Fitting

    hardware = hardware or Hardware()
    file = name.replace(" ", "_")
    finished = resume / f"{file}.pt" if resume else None
    if finished and finished.is_file():
        objective.load_state_dict(torch.load(finished, weights_only=True))
        objective.eval()
        return {}
    unfinished = resume / f"{file}.ckpt" if resume else None
    with torch.random.fork_rng(), _one_thread(), _quiet(), tempfile.TemporaryDirectory() as scratch:
        objective.eval()
        with torch.no_grad():
            validates = objective.validation_loss() is not None and config.checks > 0
        every = max(1, config.steps // max(1, config.checks))
        callbacks: list[Callback] = [RichProgressBar(leave=True)] if progress else []
        best = None
        if unfinished:
            keep = ModelCheckpoint(unfinished.parent, file, every_n_train_steps=every, enable_version_counter=False)
            callbacks.append(keep)
        if validates:
            best = ModelCheckpoint(Path(scratch), monitor="validation", save_weights_only=True)
            callbacks += [EarlyStopping("validation", patience=config.patience), best]
        try:
            trainer = L.Trainer(
                accelerator=hardware.accelerator,
                devices=hardware.devices,
                strategy="ddp_spawn" if hardware.devices > 1 else "auto",
                max_steps=config.steps,
                max_epochs=1,
                val_check_interval=every if validates else None,
                limit_val_batches=1 if validates else 0,
                num_sanity_val_steps=0,
                gradient_clip_val=1.0,
                callbacks=callbacks,
                logger=False,
                enable_checkpointing=bool(best or unfinished),
                enable_progress_bar=progress,
                enable_model_summary=False,
                use_distributed_sampler=False,
            )
        except (MisconfigurationException, ValueError, RuntimeError) as error:
            raise UserError(f"--hardware.accelerator {hardware.accelerator}: {error}") from None
        module = Fitting(objective, config, name, seed)
        steps = DataLoader(range(config.steps), batch_size=None)  # type: ignore[arg-type]
        checks = DataLoader(range(1), batch_size=None) if validates else None  # type: ignore[arg-type]
        state = str(unfinished) if unfinished and unfinished.is_file() else None
        trainer.fit(module, steps, checks, ckpt_path=state)
        if trainer.interrupted:
            raise KeyboardInterrupt
        last = {key: float(value) for key, value in trainer.callback_metrics.items() if key not in ("validation", name)}
        if best is not None and best.best_model_path:
            module.load_state_dict(torch.load(best.best_model_path, weights_only=True)["state_dict"])
            objective.eval()
            with torch.no_grad():
                value = objective.validation_loss()
            assert value is not None
            last["validation"] = float(value)
    objective.cpu().eval()
    if finished and unfinished:
        with written_whole(finished) as partial:
            torch.save(objective.state_dict(), partial)
        unfinished.unlink(missing_ok=True)
    return last


@contextmanager
def _one_thread():
    """Models this small lose by threads, and lose a lot where other work keeps the cores busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _quiet():
    """Keeps lightning's advice on loggers, workers and devices away from the user."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric", "lightning")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
