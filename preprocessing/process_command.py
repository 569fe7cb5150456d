"""`dfa-process VIDEO --output DIR`: converts a video of one person talking, or a folder of videos, to datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from dfa_nerfstudio.errors import UserError, as_flags
from dfa_nerfstudio.jobs import JobsConfig
from dfa_nerfstudio.preprocessing.process_config import ProcessConfig
from dfa_nerfstudio.reporting.console import make_console


def process(
    video: Annotated[Path, tyro.conf.Positional],
    output: Path,
    config: Annotated[ProcessConfig, tyro.conf.arg(name="")],
    jobs: Annotated[JobsConfig, tyro.conf.arg(name="")],
) -> None:
    """Converts a video of one person talking to a dataset folder, or a folder of videos to a folder of datasets.

    Args:
        video: video file (mp4, mov, mkv, webm) with audio; or a folder, in which every video is processed. For a
            folder, the exit code is 2 if a video failed, and a second run continues an interrupted one.
        output: dataset folder to write; for a folder of videos, the folder that receives the datasets.
        config: options.
        jobs: options for a folder of videos.
    """
    console = make_console()
    if video.is_dir():
        from dfa_nerfstudio.preprocessing.process_folder import SUMMARY, process_folder

        outcomes = process_folder(video, output, config, jobs, console)
        num_failed = sum(outcome.status == "failed" for outcome in outcomes)
        if num_failed:
            raise UserError(f"{num_failed} of {len(outcomes)} videos failed; {output / SUMMARY} lists the reasons")
        return
    from dfa_nerfstudio.preprocessing.process_video import process_video  # the import takes a second

    report = process_video(video, output, config, console)
    for line in report.lines():
        console.print(as_flags(line))
    console.print(f"dataset folder: {output}", soft_wrap=True)
