"""The nerfstudio pipeline: ties model and data while training, and owns the viewer's panel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch
import tyro
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.pipelines.base_pipeline import VanillaPipeline, VanillaPipelineConfig
from nerfstudio.utils import comms
from torch import Tensor, nn

from dfa_nerfstudio.data.datamanager import TalkingHeadDataManager, TalkingHeadDataManagerConfig
from dfa_nerfstudio.errors import UserError, exit_on_user_error
from dfa_nerfstudio.nerf.checkpoint_check import CHECKPOINT_VERSION, check_state, check_version, model_state
from dfa_nerfstudio.nerf.gradient_guard import NonFiniteGradientGuard
from dfa_nerfstudio.nerf.model import DFANerfModel, DFANerfModelConfig
from dfa_nerfstudio.nerf.processes import with_shared_gradients
from dfa_nerfstudio.nerf.step_check import StepCheck
from dfa_nerfstudio.nerf.training_schedule import TrainingSchedule, TrainingScheduleConfig
from dfa_nerfstudio.nerf.weight_average import WeightAverage
from dfa_nerfstudio.nerfstudio_patches import apply_patches

MIN_RAYS, MAX_RAYS = 128, 1 << 16
"""Limits of the adaptive number of rays per step."""
AVERAGE_INTERVAL = 8
"""Steps from one value of the averaged weights to the next."""


@dataclass
class TalkingHeadPipelineConfig(VanillaPipelineConfig):
    """Options of the training as a whole."""

    _target: type = field(default_factory=lambda: TalkingHeadPipeline)
    datamanager: TalkingHeadDataManagerConfig = field(default_factory=TalkingHeadDataManagerConfig)
    """Options of the data."""
    model: DFANerfModelConfig = field(default_factory=DFANerfModelConfig)
    """Options of the model."""
    schedule: TrainingScheduleConfig = field(default_factory=TrainingScheduleConfig)
    """Length of the training and its learning rates."""
    samples_per_step: int = 0
    """Adapts the number of rays per step so that the field is queried about this often: few rays while all space counts
    as occupied, many once empty space is known. 0 keeps the datamanager's number."""
    panel: tyro.conf.Suppress[type | None] = None
    """Class of the panel in nerfstudio's viewer, which is constructed with the model; None for no panel."""


class TalkingHeadPipeline(VanillaPipeline):
    """Trains the model on one clip.

    Per step: adapts the number of rays (`samples_per_step`), draws patches late in training, and reports the pixels'
    errors to the datamanager, which draws more pixels where they are large. Bad input ends nerfstudio's commands with
    one line, because everything that reads input is called from here.

    Several processes may train one model, each with rays of its own (`--machine.num-devices` of ns-train).
    """

    config: TalkingHeadPipelineConfig
    datamanager: TalkingHeadDataManager

    def __init__(
        self,
        config: TalkingHeadPipelineConfig,
        device: str,
        test_mode: Literal["test", "val", "inference"] = "val",
        world_size: int = 1,
        local_rank: int = 0,
        grad_scaler: torch.cuda.amp.GradScaler | None = None,
    ) -> None:
        apply_patches()
        with exit_on_user_error():
            super().__init__(config, device, test_mode, 1, local_rank, grad_scaler)
        self.world_size = world_size
        # in a tuple, because a module's attribute that is a module would be a part of the checkpoint
        self._forward: tuple[nn.Module] = (self._model,)
        if world_size > 1:
            self._forward = (with_shared_gradients(self._model, self.model.device, local_rank),)
        self.schedule = TrainingSchedule(config.schedule)
        self.gradient_guard = NonFiniteGradientGuard(self.model.named_parameters())
        self.step_check = StepCheck()
        averaging = config.schedule.average_from, AVERAGE_INTERVAL
        self.weight_average = WeightAverage(self.model.named_parameters(), *averaging)
        self._random_state: dict[str, Tensor] = {}
        """Random states to resume with; restored at the first step, because the trainer's setup draws too."""
        # nerfstudio's viewer finds controls among the pipeline's public attributes
        self.panel = None if config.panel is None else config.panel(self.model)

    @property
    def model(self) -> DFANerfModel:
        """The model."""
        return cast(DFANerfModel, super().model)

    def get_train_loss_dict(self, step: int) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """Renders one batch of training rays and computes its losses.

        Returns:
            outputs, losses and metrics of the batch.
        """
        model, data = self.model, self.datamanager
        self._restore_random_state()
        if self.config.samples_per_step:
            rays = self.config.samples_per_step / max(model.samples_per_ray, 1.0)
            data.rays_per_step = round(min(max(rays, MIN_RAYS), MAX_RAYS))
        data.patches_per_step = model.patch_loss.num_patches(self.schedule.progress)
        data.patch_size = model.patch_size
        ray_bundle, batch = data.next_train(step)
        outputs = self._forward[0](ray_bundle)
        metrics = model.get_metrics_dict(outputs, batch)
        metrics["skipped_steps"] = torch.tensor(float(self.gradient_guard.num_skipped))
        losses = model.get_loss_dict(outputs, batch, metrics)
        self.step_check.check(
            losses, lambda: {"weights": dict(model.named_parameters()), "batch": batch, "track": vars(model.track)}
        )
        data.update_error_map(model.pixel_errors(outputs, batch))
        return outputs, losses, metrics

    def get_training_callbacks(self, attributes: TrainingCallbackAttributes) -> list[TrainingCallback]:
        """The schedule's callback, then those of datamanager and model."""
        assert attributes.optimizers is not None
        self.gradient_guard.watch(attributes.optimizers.optimizers.values())
        average = TrainingCallback(
            [TrainingCallbackLocation.AFTER_TRAIN_ITERATION],
            lambda step: self.weight_average.update(step, self.schedule.progress),
        )
        return [self.schedule.callback(attributes), average, *super().get_training_callbacks(attributes)]

    def get_extra_state(self) -> dict[str, Any]:
        """What training needs beside weights and optimisers to go on exactly; part of the checkpoint."""
        random = {"cpu": torch.get_rng_state()}
        if self.model.device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(self.model.device)
        return {
            "seconds": self.schedule.seconds,
            "samples_per_ray": self.model.samples_per_ray,
            "skipped_steps": self.gradient_guard.num_skipped,
            "average": self.weight_average.state(),
            "data": self.datamanager.training_state(),
            "random": random,
            "version": CHECKPOINT_VERSION,
        }

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restores `get_extra_state`."""
        self.schedule.seconds = state["seconds"]
        self.model.samples_per_ray = state["samples_per_ray"]
        self.gradient_guard.num_skipped = state["skipped_steps"]
        self.weight_average.restore(state["average"])
        data, self._random_state = state["data"], state["random"]
        if rank := comms.get_rank():  # the first process wrote the checkpoint; the others draw other pixels
            data, self._random_state = data | {"pixels": {}}, {}
            torch.manual_seed(int(state["random"]["cpu"].long().sum()) + rank)
        self.datamanager.restore_training_state(data)

    def _restore_random_state(self) -> None:
        if not self._random_state:
            return
        torch.set_rng_state(self._random_state["cpu"].cpu())
        if "cuda" in self._random_state and self.model.device.type == "cuda":
            torch.cuda.set_rng_state(self._random_state["cuda"].cpu(), self.model.device)
        self._random_state = {}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool | None = None) -> None:
        """Loads a checkpoint that belongs to this clip and this configuration.

        nerfstudio would load one that does not fit in part, without an error.

        Raises:
            SystemExit: with code 2 and one line, if it does not fit.
        """
        with exit_on_user_error():
            check_version(state_dict)
            check_state(model_state(state_dict), self.model.feature_kinds, self.model.clip.folder)
            try:
                super().load_state_dict(state_dict, strict=True)
            except RuntimeError as error:
                raise UserError(f"checkpoint: does not fit this configuration: {str(error).splitlines()[-1]}") from None
