"""Renders a video for each of several audio files, in separate processes on this machine or on a Ray cluster."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dfa_nerfstudio.atomic_write import check_not_input
from dfa_nerfstudio.attributes.motion_config import MotionConfig
from dfa_nerfstudio.errors import UserError, as_flags
from dfa_nerfstudio.jobs import Job, JobsConfig, run_jobs
from dfa_nerfstudio.media.audio_selection import find_speech
from dfa_nerfstudio.talk.talk_config import AudioConditioningConfig, VideoConfig

AUDIO_SUFFIXES = {".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".wma", ".aiff", ".aif"}
"""File name suffixes by which audio files are found in a folder."""


def find_audio_files(paths: tuple[Path, ...]) -> list[Path]:
    """Returns the given files, and the audio files of the given folders.

    Raises:
        UserError: if a path does not exist, or a folder contains no audio file.
    """
    files = []
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such file or folder")
        found = [path]
        if path.is_dir():
            found = sorted(file for file in path.iterdir() if file.suffix.lower() in AUDIO_SUFFIXES)
        if not found:
            raise UserError(f"{path}: no audio files; expected suffixes: {' '.join(sorted(AUDIO_SUFFIXES))}")
        files += found
    return files


def render_batch(
    config: Path,
    data: Path | None,
    audio: list[Path],
    output: Path,
    video: VideoConfig,
    motion: MotionConfig,
    conditioning: AudioConditioningConfig,
    jobs: JobsConfig,
    console: Console,
) -> int:
    """Renders a video for each audio file; a failure does not affect the other files.

    Args:
        config: the run's `config.yml`.
        data: the run's dataset folder, if it has moved.
        audio: audio files.
        output: folder of the videos, which are named like the audio files.
        video: format and content of the videos.
        motion: source of head motion and blinks; the seed is increased by one for each further file.
        conditioning: post-processing of the audio feature.
        jobs: number of parallel jobs, and where they run.
        console: shows progress.

    Returns:
        the number of failed videos.

    Raises:
        UserError: if two audio files have the same name.
    """
    suffix = ".webm" if video.background == "transparent" else ".mp4"
    stems = [path.stem for path in audio]
    names = [path.stem if stems.count(path.stem) == 1 else path.name for path in audio]
    if len(set(names)) < len(names):
        raise UserError("`audio`: two files have the same name; rename one, or render them separately")
    output, config, data = output.resolve(), config.resolve(), data and data.resolve()
    pending = []
    for number, (path, name) in enumerate(zip(audio, names, strict=True)):
        target = output / f"{name}{suffix}"
        check_not_input(target, *audio)
        seeded = replace(motion, seed=motion.seed + number)
        arguments = (config, data, path.resolve(), target, video, seeded, conditioning)
        pending.append(Job(path.name, target, _render, arguments))
    columns = (TextColumn("videos"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    num_failed = 0
    with Progress(*columns, console=console) as progress, contextlib.closing(run_jobs(pending, jobs)) as finished:
        task = progress.add_task("", total=len(pending))
        for job, reason, seconds in finished:
            num_failed += bool(reason)
            line = f"{job.output}: {seconds:.1f} s" if not reason else f"{job.name}: failed: {reason}"
            console.print(line, soft_wrap=True)
            for note in () if reason else find_speech(job.arguments[2], video.audio_track).notes:
                console.print(as_flags(f"note: {job.name}: {note}"), soft_wrap=True)
            progress.advance(task)
    return num_failed


def _render(
    config: Path,
    data: Path | None,
    audio: Path,
    output: Path,
    video: VideoConfig,
    motion: MotionConfig,
    conditioning: AudioConditioningConfig,
) -> None:
    """Renders one video; runs in a separate process."""
    from dfa_nerfstudio.talk.load_model import load_model
    from dfa_nerfstudio.talk.video_renderer import TalkingVideoRenderer

    TalkingVideoRenderer(config, load_model(config, data), video, motion, conditioning).render(audio, output)
