"""`dfa-import FOLDER`: converts a data folder of the AD-NeRF family to a dataset folder with its attribute track."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from dfa_nerfstudio.errors import exit_on_user_error


def import_adnerf(
    folder: Annotated[Path, tyro.conf.Positional],
    output: Path | None = None,
    size: int | None = None,
    step_multiplier: float = 1.0,
) -> None:
    """Converts a data folder to a dataset folder and trains its attribute models. The data folder has
    transforms_train.json, the format of AD-NeRF, RAD-NeRF, ER-NeRF and SyncTalk.
    `ns-train METHOD --data FOLDER adnerf-data` does the same by itself.

    Args:
        folder: the data folder; its files are not changed.
        output: the dataset folder; by default dfa-nerf inside the data folder.
        size: side of the square images in pixels; by default the source's resolution. Use 128 for training on a CPU.
        step_multiplier: factor on the training steps of the attribute models.
    """
    from dfa_nerfstudio.adnerf.prepare_dataset import prepare_dataset  # slow import

    print(f"dataset folder: {prepare_dataset(folder, output, size, step_multiplier)}")


def main() -> None:
    """Entry point."""
    with exit_on_user_error():
        tyro.cli(import_adnerf, prog="dfa-import")


if __name__ == "__main__":
    main()
