"""Minimising an objective with lightning: one loop for all the sequence models.

Importing lightning costs seconds; whoever only generates does not import this.
"""

from __future__ import annotations

import atexit
import logging
import math
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar
from torch import Tensor
from torch.utils.data import DataLoader

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.attributes.objective import FitConfig, Hardware, Objective
from dfa_nerfstudio.errors import UserError


class Fitting(L.LightningModule):
    """AdamW with a short warm-up and a cosine schedule; one batch of the loader is one step."""

    def __init__(self, objective: Objective, config: FitConfig, name: str, seed: int) -> None:
        super().__init__()
        self.objective, self.options, self.name, self.seed = objective, config, name, seed

    def on_train_start(self) -> None:
        """Every device draws batches of its own, and other ones after an interruption than before."""
        torch.manual_seed(self.seed + 1000 * self.global_step + 1_000_000 * self.global_rank)
        if self.trainer.world_size > 1:
            # lightning does so for NCCL only; a group of gloo left open now and then aborts its process at the very end
            atexit.register(torch.distributed.destroy_process_group)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        terms = self.objective.training_loss(self.global_step / max(self.options.steps - 1, 1))
        loss = torch.stack(list(terms.values())).sum()
        self.log(self.name, loss.detach(), prog_bar=True, batch_size=1)
        self.log_dict({key: value.detach() for key, value in terms.items()}, batch_size=1)
        return loss

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        value = self.objective.validation_loss()
        assert value is not None
        self.log("validation", value, prog_bar=True, batch_size=1, sync_dist=True)

    def configure_optimizers(self):
        steps, rate = self.options.steps, self.options.learning_rate
        weights = [weight for weight in self.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=self.options.weight_decay)
        warmup = max(1, round(0.05 * steps))

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


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
        module = Fitting(objective, config, name, seed).train()  # lightning leaves the mode as it finds it
        steps = DataLoader(range(config.steps), batch_size=None)  # type: ignore[arg-type]
        checks = DataLoader(range(1), batch_size=None) if validates else None  # type: ignore[arg-type]
        state = str(unfinished) if unfinished and unfinished.is_file() else None
        try:
            trainer.fit(module, steps, checks, ckpt_path=state)
        except SystemExit:  # what lightning makes of an interrupt
            raise KeyboardInterrupt from None
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
        with atomic_write(finished) as partial:
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
