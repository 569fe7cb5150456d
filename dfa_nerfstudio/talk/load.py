"""Opening a trained model by its config.yml."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import yaml
from nerfstudio.utils.eval_utils import eval_setup

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.nerf.model import DFANerfModel


def load_model(config_path: Path) -> DFANerfModel:
    """The model of a finished or interrupted training, ready to render; no image is read.

    Args:
        config_path: the run's `config.yml`.

    Raises:
        UserError: if there is no such file, or it is not a run of this method with a checkpoint.
        SystemExit: with code 2, from within, if the dataset folder or the checkpoint does not fit.
    """
    if not config_path.is_file():
        raise UserError(f"{config_path}: no such file; it is the config.yml that ns-train names at its end")
    if not any((config_path.parent / "nerfstudio_models").glob("step-*.ckpt")):
        raise UserError(f"{config_path.parent / 'nerfstudio_models'}: no checkpoint; let ns-train run longer")
    try:
        _, pipeline, _, _ = eval_setup(config_path, test_mode="inference")
    except (yaml.YAMLError, AssertionError, AttributeError) as error:
        raise UserError(f"{config_path}: not the config.yml of a nerfstudio run ({error})") from None
    except (RuntimeError, EOFError) as error:
        raise UserError(f"{config_path.parent / 'nerfstudio_models'}: unreadable checkpoint ({error})") from None
    if not isinstance(pipeline.model, DFANerfModel):
        raise UserError(f"{config_path}: a run of another method; train one with: ns-train dfa-nerf")
    return cast(DFANerfModel, pipeline.model)
