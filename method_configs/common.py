"""What the registered methods share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from nerfstudio.configs.base_config import MachineConfig, ViewerConfig
from nerfstudio.engine.optimizers import AdamOptimizerConfig
from nerfstudio.engine.trainer import TrainerConfig
from nerfstudio.pipelines.base_pipeline import VanillaPipelineConfig

from dfa_nerfstudio.data.datamanager import TalkingHeadDataManagerConfig
from dfa_nerfstudio.nerf.model import DFANerfModelConfig


@dataclass
class FusedAdamConfig(AdamOptimizerConfig):
    """Adam in one pass over the weights."""

    fused: bool = True
    """torch's fused implementation; the same numbers, a third of the time on a CPU."""


def device_type() -> str:
    """The device there is."""
    if torch.cuda.is_available():
        return "cuda"
    return "cpu"


def trainer(
    name: str,
    *,
    steps: int,
    rays: int,
    model: DFANerfModelConfig,
    planes_rate: float = 2e-2,
    networks_rate: float = 2e-3,
    mixed_precision: bool = False,
) -> TrainerConfig:
    """A nerfstudio trainer for this method.

    Args:
        name: as registered; runs are stored under it.
        steps: training steps.
        rays: rays per step.
        model: the model's options.
        planes_rate: learning rate of the feature planes.
        networks_rate: learning rate of the networks.
        mixed_precision: the networks in half precision, where there is CUDA; the grids stay whole.
    """
    rates = {"planes": planes_rate, "networks": networks_rate, "camera_opt": 5e-5}
    optimizers = {
        name: {"optimizer": FusedAdamConfig(lr=rate, eps=1e-15), "scheduler": None} for name, rate in rates.items()
    }
    return TrainerConfig(
        method_name=name,
        steps_per_eval_batch=500,
        steps_per_eval_image=2000,
        steps_per_eval_all_images=10**9,
        steps_per_save=2000,
        max_num_iterations=steps,
        mixed_precision=mixed_precision,
        machine=MachineConfig(device_type=device_type()),  # type: ignore[arg-type]
        pipeline=VanillaPipelineConfig(
            datamanager=TalkingHeadDataManagerConfig(train_num_rays_per_batch=rays), model=model
        ),
        optimizers=optimizers,
        viewer=ViewerConfig(websocket_host="127.0.0.1", max_num_display_images=30, quit_on_train_completion=True),
        vis="viewer+tensorboard",
    )
