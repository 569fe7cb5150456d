"""All that a data folder needs before the renderer can train: the import and the attribute track."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from dfa_nerfstudio.attributes.train_attributes import AttributesConfig, train_attributes
from dfa_nerfstudio.data.dataset_folder import TRACK
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.preprocessing.adnerf.convert import import_folder


def prepare(source: Path, output: Path | None = None, size: int | None = None, effort: float = 1.0) -> Path:
    """Imports a data folder and trains its attribute models, each only where it has not been done.

    Args:
        source: the data folder.
        output: see `import_folder`.
        size: see `import_folder`.
        effort: see `AttributesConfig`; a track that is there is kept, whatever its effort was.

    Returns:
        the dataset folder, with its track.

    Raises:
        UserError: if the folder cannot be used.
    """
    if not effort > 0:
        raise UserError(f"--effort {effort}: must be above 0")
    dataset = import_folder(source, output, size, Console())
    if not (dataset / TRACK).is_file():
        train_attributes(dataset, AttributesConfig(effort=effort))
    return dataset
