"""`dfa-talk`: any audio becomes a talking video with sound."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dfa_nerfstudio.attributes.motion_config import MovingConfig
from dfa_nerfstudio.errors import UserError, exit_on_user_error
from dfa_nerfstudio.jobs import JobsConfig
from dfa_nerfstudio.talk.talk_config import FilmConfig, HearingConfig, LiveConfig


def talk(
    film: Annotated[FilmConfig, tyro.conf.arg(name="")],
    moving: Annotated[MovingConfig, tyro.conf.arg(name="")],
    hearing: Annotated[HearingConfig, tyro.conf.arg(name="")],
    live: Annotated[LiveConfig, tyro.conf.arg(name="")],
    jobs: Annotated[JobsConfig, tyro.conf.arg(name="")],
    load_config: Path | None = None,
    audio: tuple[Path, ...] = (),
    output: Path | None = None,
    audio_features: Path | None = None,
    inspect: Path | None = None,
) -> None:
    """Says any audio with a trained person's lips, head motion and blinks.

    Every video says of itself that it is synthetic, in its comment and its XMP; --inspect VIDEO reads that.

    Args:
        film: what the video looks like.
        moving: where head motion and blinks come from.
        hearing: what is done to the sound's features.
        live: talking while the sound is still arriving.
        jobs: several files.
        load_config: the run's config.yml, as ns-train names it at its end.
        audio: speech: wav, flac, mp3, or any audio or video file; several of them, or a folder.
        output: the video to write, talking.mp4 if none is named: H.264 with the audio as AAC, as long as the audio. Of
            several files, the folder that the videos are put into.
        audio_features: features of this audio, .npy with a row for each 1/25 s, where the model was trained on such.
        inspect: a video: says what it says of its origin, and does nothing else.
    """
    if inspect is not None:
        return _inspect(inspect)
    if load_config is None or not (audio or live.live):
        raise UserError("give --load-config CONFIG and --audio FILE; dfa-talk --help tells the rest")
    if film.sign is not None:
        from dfa_nerfstudio.talk.signing import check_signing

        check_signing(*film.sign)
    if live.live:
        return _live(load_config, film, moving, hearing, live)
    from dfa_nerfstudio.talk.batch import find_audio, talk_many

    console, files = Console(), find_audio(audio)
    if len(files) > 1:
        if audio_features is not None:
            raise UserError("--audio-features: are of one audio; make its video by itself")
        failed = talk_many(load_config, files, output or Path("talking"), film, moving, hearing, jobs, console)
        if failed:
            raise UserError(f"{failed} of {len(files)} videos failed")
        return
    _one(load_config, files[0], output or Path("talking.mp4"), audio_features, film, moving, hearing, console)


def _one(
    load_config: Path,
    audio: Path,
    output: Path,
    features: Path | None,
    film: FilmConfig,
    moving: MovingConfig,
    hearing: HearingConfig,
    console: Console,
) -> None:
    from dfa_nerfstudio.media.video_writer import file_format

    form = file_format(output, film.background == "transparent")
    if film.sign is not None and form.audio == "libopus":
        raise UserError(f"{output}: what is signed must be named .mp4 or .mov")
    from dfa_nerfstudio.talk.load_model import load_model
    from dfa_nerfstudio.talk.video_renderer import Studio

    studio = Studio(load_config, load_model(load_config), film, moving, hearing)
    columns = (TextColumn("rendering"), BarColumn(), TextColumn("{task.completed} of {task.total} frames"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task("", total=studio.frames(audio))
        made = studio.make(audio, output, features, lambda done: progress.update(task, completed=done))
    seconds = made.frames / film.fps
    console.print(
        f"{output}: {seconds:.2f} s, {made.frames} frames, {made.frames / made.seconds:.1f} frames/s, the first after "
        f"{made.first:.1f} s; it says that it is synthetic",
        highlight=False,
        soft_wrap=True,
    )


def _live(load_config: Path, film: FilmConfig, moving: MovingConfig, hearing: HearingConfig, live: LiveConfig) -> None:
    if film.background == "transparent":
        raise UserError("--background transparent: a stream has no alpha; give a colour")
    if sys.stdout.isatty():
        raise UserError(
            "--live: the video goes to standard output; pipe it into a player, as in: dfa-talk ... | ffplay -"
        )
    # What others print there, nerfstudio first of all, must not come between the frames.
    target = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    with target, contextlib.redirect_stdout(sys.stderr):
        from dfa_nerfstudio.talk.live_stream import talk_live
        from dfa_nerfstudio.talk.load_model import load_model
        from dfa_nerfstudio.talk.video_renderer import Studio

        studio = Studio(load_config, load_model(load_config), film, moving, hearing)
        studio.warm_up()
        print("ready", file=sys.stderr, flush=True)
        print(talk_live(studio, live, sys.stdin.buffer, target), file=sys.stderr, flush=True)


def _inspect(path: Path) -> None:
    from dfa_nerfstudio.talk.provenance import inspect
    from dfa_nerfstudio.talk.signing import credentials

    found = inspect(path)
    for name, value in (
        ("comment", found.comment),
        ("digital source type", found.source_type),
        ("made with", found.tool),
        ("content credentials", credentials(path)),
    ):
        print(f"{name}: {value or 'none'}")
    print(f"{path}: " + ("says that it is synthetic" if found.synthetic else "does not say that it is synthetic"))
    if not found.synthetic:
        raise SystemExit(1)


def main() -> None:
    """Entry point."""
    with exit_on_user_error():
        tyro.cli(talk, prog="dfa-talk")


if __name__ == "__main__":
    main()
