"""Loads a trained model by its config.yml."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError

import torch
import yaml

from dfa_nerfstudio.data.renderer import Renderer
from dfa_nerfstudio.errors import UserError


def latest_checkpoint(config_path: Path) -> Path:
    """Returns the path of a run's latest checkpoint.

    Args:
        config_path: the run's `config.yml`.

    Raises:
        UserError: if there is no such run, or it has no checkpoint yet.
    """
    if not config_path.is_file():
        raise UserError(f"{config_path}: no such file; give the config.yml whose path ns-train prints at its end")
    folder = config_path.parent / "nerfstudio_models"
    checkpoints = sorted(folder.glob("step-*.ckpt"))
    if not checkpoints:
        raise UserError(f"{folder}: no checkpoint; run ns-train for longer")
    return checkpoints[-1]


def load_model(config_path: Path) -> Renderer:
    """Loads the model of a finished or interrupted run in evaluation mode; reads no image.

    Replaces nerfstudio's `eval_setup`, because importing its module builds the command line of every registered
    method, which takes longer than everything else here.

    Args:
        config_path: the run's `config.yml`.

    Raises:
        UserError: if there is no such file, or it is not a run of this method with a checkpoint.
        SystemExit: with code 2, from nerfstudio's setup, if the dataset folder or the checkpoint does not fit.
    """
    checkpoint = latest_checkpoint(config_path)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        config = yaml.load(config_path.read_text(), Loader=yaml.Loader)
        pipeline = config.pipeline.setup(device=device, test_mode="inference")
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError) as error:
        raise UserError(f"{config_path}: not the config.yml of a nerfstudio run ({error})") from None
    if not isinstance(pipeline.model, Renderer):
        raise UserError(f"{config_path}: a run of another method; train with: ns-train dfa-nerf")
    try:
        state = torch.load(checkpoint, map_location="cpu")
        pipeline.load_pipeline(state["pipeline"], state["step"])
    except (RuntimeError, EOFError, KeyError, UnpicklingError) as error:
        reason = type(error).__name__  # the error texts are very long, or empty
        raise UserError(f"{checkpoint}: unreadable checkpoint ({reason}); restore the file or train again") from None
    return pipeline.eval().model
