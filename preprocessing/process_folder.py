"""Converts a folder of videos to dataset folders, several at a time, on this machine or on a Ray cluster."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.data.dataset_folder import REPORT_FILE, DatasetFolder
from dfa_nerfstudio.data.find_files import find_files
from dfa_nerfstudio.errors import UserError, as_flags
from dfa_nerfstudio.jobs import Job, JobsConfig, run_jobs
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.preprocessing.process_config import ProcessConfig

VIDEO_SUFFIXES = {
    *(".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv"),
}
SUMMARY = "corpus.json"
"""File in the output folder with the outcome of every video."""


@dataclass
class Outcome:
    """Result of processing one video."""

    video: str
    """Path relative to the folder of videos."""
    dataset: str
    """Path relative to the output folder."""
    status: Literal["pending", "completed", "skipped", "failed"] = "pending"
    """`skipped`: a complete dataset with the same options existed already."""
    reason: str = ""
    """Reason of a failure, in one line."""
    seconds: float = 0.0
    """Processing time, seconds."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """Metrics and warnings of the report."""


def process_folder(
    folder: Path, output: Path, config: ProcessConfig, jobs_config: JobsConfig, console: Console
) -> list[Outcome]:
    """Converts every video below a folder to a dataset folder below another one.

    Each video is processed in a process of its own, so that a crash affects that video alone. Complete datasets are
    skipped, so that the same command continues an interrupted run. `corpus.json` in the output folder is updated after
    each video.

    Args:
        folder: searched recursively for videos; hidden files are ignored.
        output: receives the dataset folder `some/video` for `folder/some/video.mp4`.
        config: options of every video.
        jobs_config: number of simultaneous jobs, and where they run.
        console: where progress and the summary are shown.

    Raises:
        UserError: if there is no video, the output cannot be written, or a model file is invalid.
    """
    jobs = find_jobs(folder, output, config)
    if config.face_landmarker is not None or config.morphable_model is not None:
        from dfa_nerfstudio.preprocessing.process_video import check_models  # the import takes a second

        check_models(config)
    outcomes = {job.name: Outcome(job.name, job.output.relative_to(output.resolve()).as_posix()) for job in jobs}
    pending = []
    for job in jobs:
        if not config.overwrite and is_complete(job.output, config):
            outcomes[job.name].status = "skipped"
            outcomes[job.name].metrics = _read_metrics(job.output)
        else:
            pending.append(job)
    num_skipped = len(jobs) - len(pending)
    if num_skipped:
        skipped = f"{num_skipped} of {len(jobs)} datasets are complete and skipped; replace them with `overwrite`"
        console.print(as_flags(skipped))
    columns = (TextColumn("videos"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress, contextlib.ExitStack() as stack:
        task = progress.add_task("", total=len(jobs), completed=num_skipped)
        _write_summary(output, outcomes)
        results = stack.enter_context(contextlib.closing(run_jobs(pending, jobs_config)))
        for job, reason, seconds in results:
            outcome = outcomes[job.name]
            outcome.status = "failed" if reason else "completed"
            outcome.reason, outcome.seconds = reason, round(seconds, 1)
            if not reason:
                outcome.metrics = _read_metrics(job.output)
            _write_summary(output, outcomes)
            console.print(f"{job.name}: {outcome.status}", soft_wrap=True)
            progress.advance(task)
    console.print(summary_table(list(outcomes.values())))
    for outcome in outcomes.values():
        if outcome.reason:
            console.print(f"{outcome.video}: {outcome.reason}", soft_wrap=True)
    return list(outcomes.values())


def find_jobs(folder: Path, output: Path, config: ProcessConfig) -> list[Job]:
    """Returns one job per video below `folder`, in alphabetical order.

    A dataset folder has the name of its video without the suffix. The suffix is kept if another video or a folder has
    that name.

    Raises:
        UserError: if there is no video.
    """
    folder, output = folder.resolve(), output.resolve()
    paths = find_files(folder, lambda path: path.suffix.lower() in VIDEO_SUFFIXES and output not in path.parents)
    names = [path.relative_to(folder) for path in paths]
    if not names:
        suffixes = " ".join(sorted(VIDEO_SUFFIXES))
        raise UserError(f"{folder}: contains no video; give a folder with files that end in {suffixes}")
    name_counts = Counter(name.with_suffix("") for name in names)
    name_counts.update({parent for name in names for parent in name.parents})
    files = {option: value.resolve() for option, value in vars(config).items() if isinstance(value, Path)}
    config = dataclasses.replace(config, **files)
    return [
        Job(
            name.as_posix(),
            dataset := output / (name if name_counts[name.with_suffix("")] > 1 else name.with_suffix("")),
            _process,
            (folder / name, dataset, config),
        )
        for name in names
    ]


def _process(video: Path, output: Path, config: ProcessConfig) -> None:
    from dfa_nerfstudio.preprocessing.process_video import process_video  # the import takes a second

    process_video(video, output, config)


def is_complete(output: Path, config: ProcessConfig) -> bool:
    """Returns whether a complete dataset folder with the same options exists."""
    try:
        report = json.loads((output / REPORT_FILE).read_text())
        for scene in report.get("scenes") or ["."]:
            DatasetFolder.open(output / scene)
        return report["options"] == config.dataset_options()
    except (UserError, OSError, ValueError, KeyError):
        return False


def _read_metrics(dataset: Path) -> dict[str, Any]:
    report = json.loads((dataset / REPORT_FILE).read_text())
    return {name: value for name, value in report.items() if isinstance(value, (int, float, str)) or name == "warnings"}


def _write_summary(output: Path, outcomes: dict[str, Outcome]) -> None:
    try:
        with atomic_write(output / SUMMARY) as partial_file:
            videos = [dataclasses.asdict(outcome) for outcome in outcomes.values()]
            partial_file.write_text(json.dumps({"videos": videos}, indent=1))
    except OSError as error:
        raise UserError(f"{output / SUMMARY}: cannot be written ({error.strerror})") from None


def summary_table(outcomes: list[Outcome]) -> Table:
    """Returns a table of the outcomes for the terminal."""
    table = Table("video", "status", "length, s", "error, px", "jitter, px", "notes")
    for outcome in outcomes:
        metrics = outcome.metrics
        row = ["", "", "", ""]
        if metrics:
            error, jitter, num_notes = metrics["reprojection_error"], metrics["jitter"], len(metrics["warnings"])
            row = [f"{metrics['num_frames'] / FRAME_RATE:.1f}", f"{error:.2f}", f"{jitter:.2f}", str(num_notes or "")]
        table.add_row(outcome.video, outcome.status, *row)
    return table
