"""Minimises an objective with lightning; one training loop for all attribute models.

Importing lightning takes seconds, so only code that trains imports this module.
"""

from __future__ import annotations

import atexit
import logging
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR
from torch.utils.data import DataLoader

from dfa_nerfstudio.attributes.objective import FitConfig, Hardware, Objective
from dfa_nerfstudio.data.finite_check import not_finite, require_finite
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.torch_file import save_torch

WARMUP_SHARE = 0.05
"""Share of the steps over which the learning rate rises linearly."""


class ObjectiveModule(L.LightningModule):
    """Optimises an objective by AdamW with warm-up and a cosine schedule; one batch of the loader is one step."""

    def __init__(self, objective: Objective, config: FitConfig, name: str, seed: int) -> None:
        super().__init__()
        self.objective, self.options, self.name, self.seed = objective, config, name, seed

    def on_train_start(self) -> None:
        """Seeds each device differently, and differently again after an interruption."""
        torch.manual_seed(self.seed + 1000 * self.global_step + 1_000_000 * self.global_rank)
        if self.trainer.world_size > 1:
            # Lightning does so for NCCL only; a gloo group that is left open sometimes aborts the process at exit.
            atexit.register(torch.distributed.destroy_process_group)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        terms = self.objective.training_loss(self.global_step / max(self.options.steps - 1, 1))
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            arrays = not_finite(dict([*self.objective.named_parameters(), *self.objective.named_buffers()]))
            raise UserError(
                f"{self.name}: the loss {', '.join(not_finite(terms))} is not finite at step {self.global_step}"
                + (f", because of {', '.join(arrays)}" if arrays else "")
                + "; check the data, or train with a lower learning rate"
            )
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
        warmup = max(1, round(WARMUP_SHARE * steps))
        stages: list[LRScheduler] = [
            LinearLR(optimizer, 1 / warmup, 1.0, max(1, warmup - 1)),
            CosineAnnealingLR(optimizer, max(1, steps - warmup)),
        ]
        schedule = SequentialLR(optimizer, stages, [warmup])
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
    """Minimises `objective` in place and keeps the weights with the lowest validation loss, where it has one.

    Args:
        objective: the model with its data.
        config: training options.
        name: name in the progress bar and of the state files.
        seed: random seed; the global random state is left unchanged.
        progress: whether to show a progress bar.
        hardware: training device; by default one that lightning chooses.
        resume: folder for the training state; a state that is found there is resumed.

    Returns:
        The last value of each loss term, and the best validation loss as `validation` where there is one.

    Raises:
        UserError: if the hardware is not available.
    """
    hardware = hardware or Hardware()
    file = name.replace(" ", "_")
    finished = resume / f"{file}.pt" if resume else None
    if finished and finished.is_file():
        objective.load_state_dict(torch.load(finished, weights_only=True))
        objective.eval()
        return {}
    unfinished = resume / f"{file}.ckpt" if resume else None
    with torch.random.fork_rng(), _single_thread(), _quiet_lightning(), tempfile.TemporaryDirectory() as scratch:
        objective.eval()
        with torch.no_grad():
            validates = objective.validation_loss() is not None and config.num_validations > 0
        every = max(1, config.steps // max(1, config.num_validations))
        callbacks: list[Callback] = [RichProgressBar(leave=True)] if progress else []
        best = None
        if unfinished:
            callbacks.append(
                ModelCheckpoint(unfinished.parent, file, every_n_train_steps=every, enable_version_counter=False)
            )
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
            reason = str(error).replace("`", "")  # lightning's backticks do not name options of this program
            raise UserError(f"`hardware.accelerator={hardware.accelerator}`: {reason}") from None
        module = ObjectiveModule(objective, config, name, seed).train()  # lightning does not set the mode
        train_loader = DataLoader(range(config.steps), batch_size=None)  # type: ignore[arg-type]
        val_loader = DataLoader(range(1), batch_size=None) if validates else None  # type: ignore[arg-type]
        state = str(unfinished) if unfinished and unfinished.is_file() else None
        try:
            trainer.fit(module, train_loader, val_loader, ckpt_path=state)
        except SystemExit:  # lightning turns an interrupt into this
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
    require_finite(objective.state_dict(), name, "check the data, or train with a lower learning rate")
    if finished and unfinished:
        save_torch(objective.state_dict(), finished)
        unfinished.unlink(missing_ok=True)
    return last


@contextmanager
def _single_thread():
    """Limits torch to one thread, because threads slow down models this small, most of all when the cores are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _quiet_lightning():
    """Suppresses lightning's advice on loggers, workers and devices."""
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
