"""`dfa-process VIDEO --output DIR`: a video of one person talking becomes a dataset folder; a folder of them, many."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from dfa_nerfstudio.errors import UserError, exit_on_user_error
from dfa_nerfstudio.jobs import JobsConfig
from dfa_nerfstudio.preprocessing.process_config import ProcessConfig


def process(
    video: Annotated[Path, tyro.conf.Positional],
    output: Path,
    config: Annotated[ProcessConfig, tyro.conf.arg(name="")],
    corpus: Annotated[JobsConfig, tyro.conf.arg(name="")],
) -> None:
    """Turns a video of one person talking into a dataset folder, and a folder of videos into a folder of them.

    Args:
        video: mp4, mov, mkv or webm, with sound; or a folder, in which every video is processed. The command ends with
            exit code 2 if one of them failed; run again, it goes on where it was interrupted.
        output: the dataset folder to make; of a folder of videos, the folder that the datasets are put into.
        config: options.
        corpus: options for a folder of videos.
    """
    console = Console()
    if video.is_dir():
        from dfa_nerfstudio.preprocessing.process_folder import SUMMARY, process_folder

        outcomes = process_folder(video, output, config, corpus, console)
        failed = sum(outcome.status == "failed" for outcome in outcomes)
        if failed:
            raise UserError(f"{failed} of {len(outcomes)} videos failed; {output / SUMMARY} says why")
        return
    from dfa_nerfstudio.preprocessing.process_video import process_video  # takes a second

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
