"""Minimises an objective with lightning; one training loop for all attribute models.

Importing lightning takes seconds, so only code that trains imports this module.
"""

from __future__ import annotations

import atexit
import logging
import math
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, EarlyStopping, RichProgressBar
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR
from torch.utils.data import DataLoader

from dfa_nerfstudio.attributes.objective import FitConfig, Hardware, Objective
from dfa_nerfstudio.data.finite_check import not_finite, require_finite
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.torch_file import save_torch
from dfa_nerfstudio.reporting.progress import report_progress

WARMUP_SHARE = 0.05
"""Share of the steps over which the learning rate rises linearly."""


class ObjectiveModule(L.LightningModule):
    """Optimises an objective by AdamW with warm-up and a cosine schedule; one batch of the loader is one step."""

    def __init__(self, objective: Objective, config: FitConfig, name: str, seed: int) -> None:
        super().__init__()
        self.objective, self.options, self.name, self.seed = objective, config, name, seed
        self._random: dict[str, Tensor] = {}
        """Random states to resume with."""

    def on_train_start(self) -> None:
        """Seeds each device differently, and differently again after an interruption."""
        torch.manual_seed(self.seed + 1000 * self.global_step + 1_000_000 * self.global_rank)
        if self.trainer.world_size > 1:
            # Lightning does so for NCCL only; a gloo group that is left open sometimes aborts the process at exit.
            atexit.register(torch.distributed.destroy_process_group)

    def on_train_batch_start(self, batch: Tensor, batch_idx: int) -> None:
        """Goes on with the random numbers of an interrupted run, on one device.

        Only now, because lightning draws some for its data loaders before the first step.
        """
        if self._random and self.trainer.world_size == 1:
            torch.set_rng_state(self._random["cpu"].cpu())
            if "cuda" in self._random and self.device.type == "cuda":
                torch.cuda.set_rng_state(self._random["cuda"].cpu(), self.device)
        self._random = {}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the random states."""
        random = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(self.device)
        checkpoint["random"] = self._random or random

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the random states until the first step."""
        self._random = checkpoint["random"]

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


class BestWeights(Callback):
    """Keeps the weights with the lowest validation loss, also over an interruption, and loads them at the end."""

    def __init__(self) -> None:
        self.loss = math.inf
        self.weights: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        loss = float(trainer.callback_metrics["validation"])
        if loss < self.loss:
            self.loss = loss
            self.weights = {name: values.cpu().clone() for name, values in pl_module.state_dict().items()}

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.weights:
            pl_module.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        return {"loss": self.loss, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.loss, self.weights = state_dict["loss"], state_dict["weights"]


class StateSaver(Callback):
    """Saves the state before every `every`-th step.

    Lightning's own callback saves it after a step and before its validation, which a resumed run then leaves out.
    """

    def __init__(self, path: Path, every: int) -> None:
        self._path, self._every = path, every

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx and batch_idx % self._every == 0:
            trainer.save_checkpoint(self._path)


class ProgressReport(Callback):
    """Reports the progress of training."""

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        assert isinstance(pl_module, ObjectiveModule)
        report_progress(f"training: {pl_module.name}", trainer.global_step / max(pl_module.options.steps, 1))


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a state beside its final place, where lightning would move it from the folder for temporary files."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        save_torch(checkpoint, Path(path))


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
    with torch.random.fork_rng(), _single_thread(), _quiet_lightning():
        objective.eval()
        with torch.no_grad():
            validates = objective.validation_loss() is not None and config.num_validations > 0
        every = max(1, config.steps // max(1, config.num_validations))
        callbacks: list[Callback] = [ProgressReport(), *([RichProgressBar(leave=True)] if progress else [])]
        if unfinished:
            callbacks.append(StateSaver(unfinished, every))
        if validates:
            callbacks += [EarlyStopping("validation", patience=config.patience), BestWeights()]
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
                enable_checkpointing=False,
                plugins=[AtomicCheckpointIO()],
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
        if validates:
            objective.cpu().eval()
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
