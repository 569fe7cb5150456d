"""`dfa-process VIDEO --output DIR`: a video of one person talking becomes a dataset folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from dfa_nerfstudio.errors import exit_on_user_error
from dfa_nerfstudio.preprocessing.config import ProcessConfig


def process(
    video: Annotated[Path, tyro.conf.Positional],
    output: Path,
    config: Annotated[ProcessConfig, tyro.conf.arg(name="")],
) -> None:
    """Turns a video of one person talking into a dataset folder.

    Args:
        video: mp4, mov, mkv or webm, with sound.
        output: the dataset folder to make.
        config: options.
    """
    from dfa_nerfstudio.preprocessing.pipeline import process_video  # takes a second

    console = Console()
    report = process_video(video, output, config, console)
    for line in report.lines():
        console.print(line, highlight=False)
    console.print(f"dataset folder: {output}", highlight=False, soft_wrap=True)


def main() -> None:
    """Entry point."""
    with exit_on_user_error():
        tyro.cli(process, prog="dfa-process")


if __name__ == "__main__":
    main()
