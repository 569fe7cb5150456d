"""Loads a trained model by its config.yml."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import torch

from dfa_nerfstudio.data.renderer import Renderer
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.nerf.checkpoint_check import (
    check_checkpoint,
    check_state,
    model_state,
    newest_readable_checkpoint,
)
from dfa_nerfstudio.nerfstudio_patches import broadcast_shapes_without_sympy
from dfa_nerfstudio.talk.find_run import CHECKPOINTS
from dfa_nerfstudio.talk.run_config import read_renderer_config, read_run_config

if TYPE_CHECKING:
    from nerfstudio.engine.trainer import TrainerConfig
    from nerfstudio.pipelines.base_pipeline import Pipeline


def latest_checkpoint(config_path: Path) -> Path:
    """Returns the path of a run's latest checkpoint that can be read; logs which ones cannot.

    Args:
        config_path: the run's `config.yml`.

    Raises:
        UserError: if there is no readable one.
    """
    return newest_readable_checkpoint(config_path.parent / CHECKPOINTS)


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
    config = read_run_config(config_path, data)
    checkpoint = latest_checkpoint(config_path)
    pipeline = _build(config_path, config.pipeline, test_mode=test_mode)
    if not isinstance(pipeline.model, Renderer):
        raise UserError(f"{config_path}: a run of another method; train with: ns-train dfa-nerf")
    state = check_checkpoint(checkpoint)
    try:
        pipeline.load_pipeline(state["pipeline"], state["step"])
    except (RuntimeError, KeyError) as error:
        raise UserError(_does_not_fit(config_path, error)) from None
    return config, pipeline.eval(), state["step"]


def load_model(config_path: Path, data: Path | None = None) -> Renderer:
    """Loads the renderer of a run in evaluation mode, without its pipeline.

    Args:
        config_path: the run's `config.yml`.
        data: the dataset folder, if it has moved; see `read_run_config`.

    Raises:
        UserError: see `load_run`.
        SystemExit: see `load_run`.
    """
    broadcast_shapes_without_sympy()
    configs = read_renderer_config(config_path, data)
    if configs is None:
        return cast(Renderer, load_run(config_path, data)[1].model)
    (config, parser), checkpoint = configs, latest_checkpoint(config_path)
    outputs = _build(config_path, parser).get_dataparser_outputs("train")
    number = len(outputs.image_filenames)
    model = _build(config_path, config, scene_box=outputs.scene_box, num_train_data=number, metadata=outputs.metadata)
    weights = model_state(check_checkpoint(checkpoint)["pipeline"])
    check_state(weights, model.feature_kinds, outputs.metadata["clip"].folder)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(_does_not_fit(config_path, error)) from None
    return model.to(_device()).eval()


def _build(config_path: Path, config: Any, **arguments: Any) -> Any:
    """Builds what a part of a config.yml describes."""
    try:
        return config.setup(**arguments, device=_device()) if arguments else config.setup()
    except (AttributeError, TypeError) as error:
        raise UserError(f"{config_path}: not the config.yml of a nerfstudio run ({error})") from None


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _does_not_fit(config_path: Path, error: Exception) -> str:
    return f"{config_path}: the checkpoint does not fit ({type(error).__name__}); restore the file or train again"
