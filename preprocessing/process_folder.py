"""A folder of videos: each becomes a dataset folder, many at a time, here or on a Ray cluster."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.jobs import Job, JobsConfig, results
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.preprocessing.process_config import ProcessConfig

SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv"}
SUMMARY, REPORT = "corpus.json", "report.json"


@dataclass
class Outcome:
    """What became of one video."""

    video: str
    """Path below the corpus folder."""
    dataset: str
    """Path below the output folder."""
    status: Literal["waiting", "done", "skipped", "failed"] = "waiting"
    """Skipped: its dataset was there already, made with the same options."""
    reason: str = ""
    """Why it failed, one line."""
    seconds: float = 0.0
    """What it took."""
    figures: dict[str, Any] = field(default_factory=dict)
    """The report's figures and warnings."""


def process_folder(
    folder: Path, output: Path, config: ProcessConfig, corpus: JobsConfig, console: Console
) -> list[Outcome]:
    """Turns every video below a folder into a dataset folder below another one.

    A video that fails, be it that its process dies, fails alone. Datasets that are finished are skipped, so that the
    same command goes on where it was interrupted. `corpus.json` in the output folder is up to date at any time.

    Args:
        folder: searched for videos, subfolders included; hidden files are passed over.
        output: where `folder/some/video.mp4` becomes the dataset folder `some/video`.
        config: options, the same for all.
        corpus: how many at a time, and where.
        console: where progress and the summary are shown.

    Raises:
        UserError: if there is no video, the output cannot be written, or a model file is of no use.
    """
    jobs = find_jobs(folder, output, config)
    if config.face_landmarker is not None or config.morphable_model is not None:
        from dfa_nerfstudio.preprocessing.process_video import check_models  # takes a second

        check_models(config)
    outcomes = {job.name: Outcome(job.name, job.output.relative_to(output.resolve()).as_posix()) for job in jobs}
    waiting = []
    for job in jobs:
        if not config.overwrite and is_finished(job.output, config):
            outcomes[job.name].status = "skipped"
            outcomes[job.name].figures = _figures(job.output)
        else:
            waiting.append(job)
    if len(waiting) < len(jobs):
        console.print(f"{len(jobs) - len(waiting)} of {len(jobs)} datasets are finished already (--overwrite redoes)")
    columns = (TextColumn("videos"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress, contextlib.ExitStack() as stack:
        task = progress.add_task("", total=len(jobs), completed=len(jobs) - len(waiting))
        _write_summary(output, outcomes)
        ended = stack.enter_context(contextlib.closing(results(waiting, corpus)))
        for job, reason, seconds in ended:
            outcome = outcomes[job.name]
            outcome.status, outcome.reason, outcome.seconds = "failed" if reason else "done", reason, round(seconds, 1)
            if not reason:
                outcome.figures = _figures(job.output)
            _write_summary(output, outcomes)
            console.print(f"{job.name}: {outcome.status}", highlight=False, markup=False, soft_wrap=True)
            progress.advance(task)
    console.print(summary_table(list(outcomes.values())))
    for outcome in outcomes.values():
        if outcome.reason:
            console.print(f"{outcome.video}: {outcome.reason}", highlight=False, markup=False, soft_wrap=True)
    return list(outcomes.values())


def find_jobs(folder: Path, output: Path, config: ProcessConfig) -> list[Job]:
    """The videos below `folder` in alphabetical order, each with its dataset folder.

    A dataset folder is called like its video without the suffix; with it where another video or a folder has that name.

    Raises:
        UserError: if there is none.
    """
    folder, output = folder.resolve(), output.resolve()
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file() and output not in path.parents
    )
    names = [path.relative_to(folder) for path in paths]
    names = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    if not names:
        raise UserError(f"{folder}: no video in it; suffixes looked for: {' '.join(sorted(SUFFIXES))}")
    taken = Counter(name.with_suffix("") for name in names)
    taken.update({parent for name in names for parent in name.parents})
    files = {option: value.resolve() for option, value in vars(config).items() if isinstance(value, Path)}
    config = dataclasses.replace(config, **files)
    return [
        Job(
            name.as_posix(),
            made := output / (name if taken[name.with_suffix("")] > 1 else name.with_suffix("")),
            _process,
            (folder / name, made, config),
        )
        for name in names
    ]


def _process(video: Path, output: Path, config: ProcessConfig) -> None:
    from dfa_nerfstudio.preprocessing.process_video import process_video  # takes a second

    process_video(video, output, config)


def is_finished(output: Path, config: ProcessConfig) -> bool:
    """Whether the dataset folder is there, whole and made with the same options."""
    try:
        report = json.loads((output / REPORT).read_text())
        for scene in report.get("scenes") or ["."]:
            DatasetFolder.open(output / scene)
        return report["options"] == config.described()
    except (UserError, OSError, ValueError, KeyError):
        return False


def _figures(dataset: Path) -> dict[str, Any]:
    report = json.loads((dataset / REPORT).read_text())
    return {name: value for name, value in report.items() if isinstance(value, (int, float, str)) or name == "warnings"}


def _write_summary(output: Path, outcomes: dict[str, Outcome]) -> None:
    try:
        with atomic_write(output / SUMMARY) as partial_file:
            videos = [dataclasses.asdict(outcome) for outcome in outcomes.values()]
            partial_file.write_text(json.dumps({"videos": videos}, indent=1))
    except OSError as error:
        raise UserError(f"{output / SUMMARY}: cannot be written ({error.strerror})") from None


def summary_table(outcomes: list[Outcome]) -> Table:
    """The outcomes for the terminal."""
    table = Table("video", "status", "s of film", "error, px", "jitter, px", "notes")
    for outcome in outcomes:
        figures = outcome.figures
        row = ["", "", "", ""]
        if figures:
            error, jitter, notes = figures["reprojection_error"], figures["jitter"], len(figures["warnings"])
            row = [f"{figures['frames'] / FRAME_RATE:.1f}", f"{error:.2f}", f"{jitter:.2f}", str(notes or "")]
        table.add_row(escape(outcome.video), outcome.status, *row)
    return table
