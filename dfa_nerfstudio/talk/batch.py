"""Several audio files: each becomes a video in a process of its own, here or on a Ray cluster."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dfa_nerfstudio.attributes.motion_config import MovingConfig
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.jobs import Job, JobsConfig, results
from dfa_nerfstudio.talk.talk_config import FilmConfig, HearingConfig

SOUNDS = {".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".wma", ".aiff", ".aif"}


def find_audio(paths: tuple[Path, ...]) -> list[Path]:
    """The files that are named, and the audio files of the folders that are.

    Raises:
        UserError: if one of them is not there, or a folder has none.
    """
    found = []
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such file or folder")
        inside = sorted(one for one in path.iterdir() if one.suffix.lower() in SOUNDS) if path.is_dir() else [path]
        if not inside:
            raise UserError(f"{path}: no audio in it; suffixes looked for: {' '.join(sorted(SOUNDS))}")
        found += inside
    return found


def talk_many(
    config: Path,
    audio: list[Path],
    output: Path,
    film: FilmConfig,
    moving: MovingConfig,
    hearing: HearingConfig,
    jobs: JobsConfig,
    console: Console,
) -> int:
    """Makes a video of each; one that fails, fails alone.

    Args:
        config: the run's `config.yml`.
        audio: files.
        output: the folder that the videos are put into, called like the audio.
        film: what they look like.
        moving: where head motion and blinks come from; each video has another seed, counted on from the one given.
        hearing: what is done to the sound's features.
        jobs: how many at a time, and where.
        console: where progress is shown.

    Returns:
        how many failed.
    """
    suffix = ".webm" if film.background == "transparent" else ".mp4"
    names = [path.stem for path in audio]
    targets = [path.stem if names.count(path.stem) == 1 else path.name for path in audio]
    if len(set(targets)) < len(targets):
        raise UserError("--audio: two files of one name; make their videos one after the other")
    output, config = output.resolve(), config.resolve()
    pending = []
    for number, (path, name) in enumerate(zip(audio, targets, strict=True)):
        made = output / f"{name}{suffix}"
        arguments = (config, path.resolve(), made, film, replace(moving, seed=moving.seed + number), hearing)
        pending.append(Job(path.name, made, _make, arguments))
    columns = (TextColumn("videos"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    failed = 0
    with Progress(*columns, console=console) as progress, contextlib.closing(results(pending, jobs)) as ended:
        task = progress.add_task("", total=len(pending))
        for job, reason, seconds in ended:
            failed += bool(reason)
            said = f"{job.output}: {seconds:.1f} s" if not reason else f"{job.name}: failed: {reason}"
            console.print(said, highlight=False, markup=False, soft_wrap=True)
            progress.advance(task)
    return failed


def _make(
    config: Path, audio: Path, output: Path, film: FilmConfig, moving: MovingConfig, hearing: HearingConfig
) -> None:
    from dfa_nerfstudio.talk.load_model import load_model
    from dfa_nerfstudio.talk.video_renderer import Studio

    Studio(config, load_model(config), film, moving, hearing).make(audio, output)
