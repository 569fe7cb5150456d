"""Loads a trained model by its config.yml."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from nerfstudio.engine.trainer import TrainerConfig
from nerfstudio.pipelines.base_pipeline import Pipeline

from dfa_nerfstudio.data.renderer import Renderer
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.nerf.checkpoint_check import check_checkpoint
from dfa_nerfstudio.nerf.trainer import newest_readable_checkpoint
from dfa_nerfstudio.talk.run_config import read_run_config


def latest_checkpoint(config_path: Path) -> Path:
    """Returns the path of a run's latest checkpoint that can be read; logs which ones cannot.

    Args:
        config_path: the run's `config.yml`.

    Raises:
        UserError: if there is no readable one.
    """
    return newest_readable_checkpoint(config_path.parent / "nerfstudio_models")


def load_run(
    config_path: Path, data: Path | None = None, test_mode: Literal["inference", "test"] = "inference"
) -> tuple[TrainerConfig, Pipeline, int]:
    """Loads a finished or interrupted run in evaluation mode.

    Replaces nerfstudio's `eval_setup`, because importing its module builds the command line of every registered
    method, which takes longer than everything else here, and because that executes whatever the file names.

    Args:
        config_path: the run's `config.yml`.
        data: the dataset folder, if it has moved; see `read_run_config`.
        test_mode: `inference` reads no image, `test` the training and held-out images.

    Returns:
        config, pipeline, and the step of the checkpoint.

    Raises:
        UserError: if there is no such file, or it is not a run of this method with a checkpoint.
        SystemExit: with code 2, from nerfstudio's setup, if the dataset folder or the checkpoint does not fit.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = read_run_config(config_path, data)
    checkpoint = latest_checkpoint(config_path)
    try:
        pipeline = config.pipeline.setup(device=device, test_mode=test_mode)
    except (AttributeError, TypeError) as error:
        raise UserError(f"{config_path}: not the config.yml of a nerfstudio run ({error})") from None
    if not isinstance(pipeline.model, Renderer):
        raise UserError(f"{config_path}: a run of another method; train with: ns-train dfa-nerf")
    state = check_checkpoint(checkpoint)
    try:
        pipeline.load_pipeline(state["pipeline"], state["step"])
    except (RuntimeError, KeyError) as error:
        raise UserError(
            f"{config_path}: the checkpoint does not fit ({type(error).__name__}); restore the file or train again"
        ) from None
    return config, pipeline.eval(), state["step"]


def load_model(config_path: Path, data: Path | None = None) -> Renderer:
    """Loads the model of a run; see `load_run`."""
    model = load_run(config_path, data)[1].model
    assert isinstance(model, Renderer)
    return model
