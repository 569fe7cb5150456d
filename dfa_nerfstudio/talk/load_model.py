"""Opening a trained model by its config.yml."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import cast

import torch
import yaml

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.nerf.model import DFANerfModel


def checkpoint_of(config_path: Path) -> Path:
    """The run's latest checkpoint.

    Raises:
        UserError: if there is no such run, or it has none yet.
    """
    if not config_path.is_file():
        raise UserError(f"{config_path}: no such file; it is the config.yml that ns-train names at its end")
    folder = config_path.parent / "nerfstudio_models"
    checkpoints = sorted(folder.glob("step-*.ckpt"))
    if not checkpoints:
        raise UserError(f"{folder}: no checkpoint; let ns-train run longer")
    return checkpoints[-1]


def load_model(config_path: Path) -> DFANerfModel:
    """The model of a finished or interrupted training, ready to render; no image is read.

    As nerfstudio's `eval_setup`, whose module makes the command line of every method there is, which takes longer than
    all the rest.

    Args:
        config_path: the run's `config.yml`.

    Raises:
        UserError: if there is no such file, or it is not a run of this method with a checkpoint.
        SystemExit: with code 2, from within, if the dataset folder or the checkpoint does not fit.
    """
    checkpoint = checkpoint_of(config_path)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        config = yaml.load(config_path.read_text(), Loader=yaml.Loader)
        pipeline = config.pipeline.setup(device=device, test_mode="inference")
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError) as error:
        raise UserError(f"{config_path}: not the config.yml of a nerfstudio run ({error})") from None
    if not isinstance(pipeline.model, DFANerfModel):
        raise UserError(f"{config_path}: a run of another method; train one with: ns-train dfa-nerf")
    try:
        state = torch.load(checkpoint, map_location="cpu")
        pipeline.load_pipeline(state["pipeline"], state["step"])
    except (RuntimeError, EOFError, KeyError, UnpicklingError) as error:
        why = type(error).__name__  # their texts are long, or empty
        raise UserError(f"{checkpoint}: unreadable checkpoint ({why}); restore the file or train again") from None
    return cast(DFANerfModel, pipeline.eval().model)
