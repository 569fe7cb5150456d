"""Trainer configuration shared by the registered methods."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from nerfstudio.configs.base_config import MachineConfig, ViewerConfig
from nerfstudio.engine.optimizers import AdamOptimizerConfig
from nerfstudio.engine.trainer import TrainerConfig

from dfa_nerfstudio.data.datamanager import TalkingHeadDataManagerConfig
from dfa_nerfstudio.nerf.model import DFANerfModelConfig
from dfa_nerfstudio.nerf.pipeline import TalkingHeadPipelineConfig
from dfa_nerfstudio.nerf.trainer import TalkingHeadTrainer
from dfa_nerfstudio.viewer.panel import TalkingHeadPanel


@dataclass
class FusedAdamConfig(AdamOptimizerConfig):
    """Adam with torch's fused implementation."""

    fused: bool = True
    """Update all weights in one pass. Results are equal; on a CPU it takes a third of the time."""


def device_type() -> str:
    """Returns the available device type, `cuda` or `cpu`."""
    if torch.cuda.is_available():
        return "cuda"
    return "cpu"


def trainer(
    name: str,
    *,
    steps: int,
    rays: int,
    samples_per_step: int = 0,
    model: DFANerfModelConfig,
    planes_rate: float = 2e-2,
    networks_rate: float,
    mixed_precision: bool = False,
) -> TrainerConfig:
    """Builds the nerfstudio trainer configuration of a method.

    Args:
        name: registered name of the method; runs are stored under it.
        steps: training steps.
        rays: number of rays per step, where it is not adapted.
        samples_per_step: see `TalkingHeadPipelineConfig`.
        model: the model's options.
        planes_rate: learning rate of the feature planes.
        networks_rate: learning rate of the networks.
        mixed_precision: run the networks in half precision on CUDA; feature grids stay in single precision.
    """
    rates = {"planes": planes_rate, "networks": networks_rate}
    optimizers = {
        name: {"optimizer": FusedAdamConfig(lr=rate, eps=1e-15), "scheduler": None} for name, rate in rates.items()
    }
    return TrainerConfig(
        _target=TalkingHeadTrainer,
        method_name=name,
        steps_per_eval_batch=500,
        steps_per_eval_image=2000,
        steps_per_eval_all_images=10**9,
        steps_per_save=2000,
        max_num_iterations=steps,
        mixed_precision=mixed_precision,
        machine=MachineConfig(device_type=device_type()),  # type: ignore[arg-type]
        pipeline=TalkingHeadPipelineConfig(
            datamanager=TalkingHeadDataManagerConfig(train_num_rays_per_batch=rays),
            model=model,
            samples_per_step=samples_per_step,
            panel=TalkingHeadPanel,
        ),
        optimizers=optimizers,
        viewer=ViewerConfig(websocket_host="127.0.0.1", max_num_display_images=30, quit_on_train_completion=True),
        vis="viewer+tensorboard",
    )
