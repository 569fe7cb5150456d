"""Opening a trained model by its config.yml."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import yaml
from nerfstudio.utils.eval_utils import eval_setup

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

    Args:
        config_path: the run's `config.yml`.

    Raises:
        UserError: if there is no such file, or it is not a run of this method with a checkpoint.
        SystemExit: with code 2, from within, if the dataset folder or the checkpoint does not fit.
    """
    checkpoint_of(config_path)
    try:
        _, pipeline, _, _ = eval_setup(config_path, test_mode="inference")
    except (yaml.YAMLError, AssertionError, AttributeError) as error:
        raise UserError(f"{config_path}: not the config.yml of a nerfstudio run ({error})") from None
    except (RuntimeError, EOFError) as error:
        raise UserError(f"{config_path.parent / 'nerfstudio_models'}: unreadable checkpoint ({error})") from None
    if not isinstance(pipeline.model, DFANerfModel):
        raise UserError(f"{config_path}: a run of another method; train one with: ns-train dfa-nerf")
    return cast(DFANerfModel, pipeline.model)
