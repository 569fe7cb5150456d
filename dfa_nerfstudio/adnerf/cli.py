"""`dfa-import FOLDER`: a data folder of the AD-NeRF family becomes a dataset folder with its attribute track."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from dfa_nerfstudio.errors import exit_on_user_error


def import_adnerf(
    folder: Annotated[Path, tyro.conf.Positional],
    output: Path | None = None,
    size: int | None = None,
    effort: float = 1.0,
) -> None:
    """Makes a dataset folder of a data folder with transforms_train.json, as AD-NeRF, RAD-NeRF, ER-NeRF and SyncTalk
    train from, and trains its attribute models. `ns-train METHOD --data FOLDER adnerf-data` does the same by itself.

    Args:
        folder: the data folder; nothing in it is changed.
        output: the dataset folder to make; by default dfa-nerf within the data folder.
        size: side of the square images in pixels; by default as they are. 128 is for training on a CPU.
        effort: multiplies the training steps of the attribute models.
    """
    from dfa_nerfstudio.adnerf.prepare_dataset import prepare  # takes a second

    print(f"dataset folder: {prepare(folder, output, size, effort)}")


def main() -> None:
    """Entry point."""
    with exit_on_user_error():
        tyro.cli(import_adnerf, prog="dfa-import")


if __name__ == "__main__":
    main()
