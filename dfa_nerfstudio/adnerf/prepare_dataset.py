"""Prepares a data folder for training the renderer: import and attribute track."""

from __future__ import annotations

from pathlib import Path

from dfa_nerfstudio.attributes.train_attributes import AttributesConfig, train_attributes
from dfa_nerfstudio.data.dataset_folder import TRACK
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.preprocessing.adnerf.convert import import_folder
from dfa_nerfstudio.reporting.console import make_console


def prepare_dataset(
    source: Path, output: Path | None = None, size: int | None = None, step_multiplier: float = 1.0
) -> Path:
    """Imports a data folder and trains its attribute models, unless this was done before.

    Args:
        source: the data folder.
        output: see `import_folder`.
        size: see `import_folder`.
        step_multiplier: see `AttributesConfig`; an existing track is kept, whatever its multiplier was.

    Returns:
        the dataset folder with its track.

    Raises:
        UserError: if the folder cannot be used.
    """
    if not step_multiplier > 0:
        raise UserError(f"`step_multiplier={step_multiplier}`: must be above 0")
    dataset = import_folder(source, output, size, make_console())
    if not (dataset / TRACK).is_file():
        train_attributes(dataset, AttributesConfig(step_multiplier=step_multiplier))
    return dataset
