"""Minimising an objective with lightning: one loop for all the sequence models."""

from __future__ import annotations

import logging
import math
import tempfile
import warnings
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
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


def fit(
    objective: Objective, config: FitConfig, *, name: str, seed: int = 0, progress: bool = True
) -> dict[str, float]:
    """Minimises `objective` in place; the best weights by its validation loss stay, where it has one.

    Args:
        objective: the model with its data.
        config: steps and rates.
        name: shown by the progress bar.
        seed: makes the run repeatable; the global random state is left as it was.
        progress: whether to show a bar.

    Returns:
        The last value of each term of the loss, and `validation` (the best) where there is one.
    """
    import lightning as L  # costs seconds: whoever only generates does not pay them
    from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar
    from torch.utils.data import DataLoader

    last: dict[str, float] = {}

    class Fitting(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.objective = objective

        def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
            terms = self.objective.training_loss(self.global_step / max(config.steps - 1, 1))
            last.update({key: float(value.detach()) for key, value in terms.items()})
            loss = torch.stack(list(terms.values())).sum()
            self.log(name, loss.detach(), prog_bar=True, batch_size=1)
            return loss

        def validation_step(self, batch: Tensor, batch_idx: int) -> None:
            value = self.objective.validation_loss()
            assert value is not None
            self.log("validation", value, prog_bar=True, batch_size=1)

        def configure_optimizers(self):
            weights = [p for p in self.parameters() if p.requires_grad]
            optimizer = torch.optim.AdamW(weights, lr=config.learning_rate, weight_decay=config.weight_decay)
            warmup = max(1, round(0.05 * config.steps))

            def factor(step: int) -> float:
                if step < warmup:
                    return (step + 1) / warmup
                return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, config.steps - warmup))))

            schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    with torch.random.fork_rng(), _one_thread(), _quiet(), tempfile.TemporaryDirectory() as scratch:
        torch.manual_seed(seed)
        objective.eval()
        with torch.no_grad():
            validates = objective.validation_loss() is not None and config.checks > 0
        every = max(1, config.steps // max(1, config.checks))
        callbacks: list[Callback] = [RichProgressBar(leave=True)] if progress else []
        best = None
        if validates:
            best = ModelCheckpoint(dirpath=Path(scratch), monitor="validation", save_weights_only=True)
            callbacks += [EarlyStopping("validation", patience=config.patience), best]
        trainer = L.Trainer(
            accelerator="auto",
            devices=1,
            max_steps=config.steps,
            max_epochs=1,
            val_check_interval=every if validates else None,
            limit_val_batches=1 if validates else 0,
            num_sanity_val_steps=0,
            gradient_clip_val=1.0,
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=validates,
            enable_progress_bar=progress,
            enable_model_summary=False,
        )
        module = Fitting()
        steps = DataLoader(range(config.steps), batch_size=None)  # type: ignore[arg-type]
        trainer.fit(module, steps, DataLoader(range(1), batch_size=None) if validates else None)  # type: ignore[arg-type]
        if best is not None and best.best_model_path:
            module.load_state_dict(torch.load(best.best_model_path, weights_only=True)["state_dict"])
            last["validation"] = float(best.best_model_score)  # type: ignore[arg-type]
    objective.cpu().eval()
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
