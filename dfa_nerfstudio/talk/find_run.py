"""Finds the run that a path means."""

from __future__ import annotations

from pathlib import Path

from dfa_nerfstudio.errors import UserError

CONFIG = "config.yml"
"""File that nerfstudio writes into the folder of each run."""
CHECKPOINTS = "nerfstudio_models"
"""Folder of a run's checkpoints, beside its `config.yml`."""


def find_run(path: Path) -> Path:
    """Returns the `config.yml` of a run.

    Args:
        path: the file itself, or a folder that contains it at any depth; of several runs with checkpoints, the one with
            the newest checkpoint.

    Raises:
        UserError: if there is none.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise UserError(f"{path}: no such file or folder; give the config.yml of a run, or a folder with one")
    checkpoints = {file: file.parent.parent / CONFIG for file in path.glob(f"**/{CHECKPOINTS}/step-*.ckpt")}
    runs = [file for file, config in checkpoints.items() if config.is_file()]
    if not runs:
        raise UserError(f"{path}: contains no trained run (config.yml with {CHECKPOINTS}/ beside it); train first")
    return checkpoints[max(runs, key=lambda file: file.stat().st_mtime)]
