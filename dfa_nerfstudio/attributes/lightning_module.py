"""An objective as lightning trains it."""

from __future__ import annotations

import math

import lightning as L
import torch
from torch import Tensor

from dfa_nerfstudio.attributes.fitting import FitConfig, Objective


class Fitting(L.LightningModule):
    """AdamW with a short warm-up and a cosine schedule; one batch of the loader is one step."""

    def __init__(self, objective: Objective, config: FitConfig, name: str, seed: int) -> None:
        super().__init__()
        self.objective, self.options, self.name, self.seed = objective, config, name, seed

    def on_train_start(self) -> None:
        """Every device draws batches of its own, and other ones after an interruption than before."""
        torch.manual_seed(self.seed + 1000 * self.global_step + 1_000_000 * self.global_rank)

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
