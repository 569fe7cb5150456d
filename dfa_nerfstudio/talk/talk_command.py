"""`dfa-talk`: renders a talking video from any audio."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dfa_nerfstudio.atomic_write import check_not_input
from dfa_nerfstudio.attributes.motion_config import MotionConfig
from dfa_nerfstudio.errors import UserError, as_flags
from dfa_nerfstudio.jobs import JobsConfig
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.media.timeline import format_spans
from dfa_nerfstudio.reporting.console import make_console
from dfa_nerfstudio.reporting.progress import progress_listener
from dfa_nerfstudio.talk.talk_config import AudioConditioningConfig, LiveConfig, VideoConfig


def talk(
    video: Annotated[VideoConfig, tyro.conf.arg(name="")],
    motion: Annotated[MotionConfig, tyro.conf.arg(name="")],
    conditioning: Annotated[AudioConditioningConfig, tyro.conf.arg(name="")],
    live: Annotated[LiveConfig, tyro.conf.arg(name="")],
    jobs: Annotated[JobsConfig, tyro.conf.arg(name="")],
    load_config: Path | None = None,
    data: Path | None = None,
    audio: tuple[Path, ...] = (),
    output: Path | None = None,
    audio_features: Path | None = None,
    inspect: Path | None = None,
) -> None:
    """Renders a video of a trained person speaking any audio, with lip motion, head motion and blinks.

    Every video is marked as synthetic in its metadata (comment and XMP); --inspect VIDEO reads these marks.

    Args:
        video: format and content of the output video.
        motion: source of head motion and blinks.
        conditioning: post-processing of the audio feature.
        live: rendering while the audio is still arriving.
        jobs: parallel rendering of several files.
        load_config: The run's config.yml; ns-train prints its path at its end.
        data: The run's dataset folder, if it has moved since the training.
        audio: Speech as wav, flac, mp3, or any other audio or video file; several files, or a folder.
        output: Video to write, as H.264 with AAC audio and as long as the audio; by default talking.mp4. For several
            audio files the folder of the videos; by default talking.
        audio_features: Features of this audio (.npy, one row per 1/25 s). Only for a model that was trained on
            features from a file.
        inspect: Prints the provenance metadata of this video, and renders nothing.
    """
    if inspect is not None:
        return _inspect(inspect)
    if load_config is None or not (audio or live.live):
        raise UserError("give --load-config CONFIG and --audio FILE; dfa-talk --help lists all options")
    if video.sign is not None:
        from dfa_nerfstudio.talk.signing import check_signing

        check_signing(*video.sign)
    if live.live:
        video.fps = video.fps or FRAME_RATE  # resampling would wait for two further frames
        return _render_live(load_config, data, video, motion, conditioning, live)
    from dfa_nerfstudio.talk.batch import find_audio_files, render_batch

    console, files = make_console(), find_audio_files(audio)
    if len(files) > 1:
        if audio_features is not None:
            raise UserError("--audio-features: belongs to one audio file; render that file alone")
        num_failed = render_batch(
            load_config, data, files, output or Path("talking"), video, motion, conditioning, jobs, console
        )
        if num_failed:
            raise UserError(f"{num_failed} of {len(files)} videos failed")
        return
    target = output or Path("talking.mp4")
    _render_file(load_config, data, files[0], target, audio_features, video, motion, conditioning, console)


def _render_file(
    load_config: Path,
    data: Path | None,
    audio: Path,
    output: Path,
    features: Path | None,
    video: VideoConfig,
    motion: MotionConfig,
    conditioning: AudioConditioningConfig,
    console: Console,
) -> None:
    """Renders the video of one audio file, with a progress bar."""
    from dfa_nerfstudio.media.video_writer import format_for_file

    file_format = format_for_file(output, video.background == "transparent")
    if video.sign is not None and file_format.audio_codec == "libopus":
        raise UserError(f"{output}: --sign needs an output named .mp4 or .mov")
    background = None if video.background is None else Path(video.background)
    check_not_input(output, audio, features, video.paste, background)
    from dfa_nerfstudio.media.audio_selection import find_speech
    from dfa_nerfstudio.talk.load_model import load_model
    from dfa_nerfstudio.talk.video_renderer import TalkingVideoRenderer

    for note in find_speech(audio, video.audio_track).notes:
        console.print(as_flags(f"note: {audio}: {note}"), soft_wrap=True)
    renderer = TalkingVideoRenderer(load_config, load_model(load_config, data), video, motion, conditioning)
    columns = (TextColumn("rendering"), BarColumn(), TextColumn("{task.completed} of {task.total} frames"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as progress:
        total = renderer.num_frames(audio)
        task = progress.add_task("", total=total)
        with progress_listener(lambda stage: progress.update(task, completed=round((stage.fraction or 0) * total))):
            statistics = renderer.render(audio, output, features)
    duration, rate = statistics.num_frames / renderer.fps, statistics.num_frames / statistics.seconds
    console.print(
        f"{output}: {duration:.2f} s, {statistics.num_frames} frames, {rate:.1f} frames/s, first frame after "
        f"{statistics.first_frame_seconds:.1f} s; marked as synthetic",
        soft_wrap=True,
    )
    if renderer.portrait_compositor is not None and (spans := renderer.portrait_compositor.unchanged_spans(duration)):
        unchanged = f"{format_spans(spans)} stay as in {video.paste}: dfa-process excluded these frames"
        console.print(f"note: {output}: {unchanged}", soft_wrap=True)


def _render_live(
    load_config: Path,
    data: Path | None,
    video: VideoConfig,
    motion: MotionConfig,
    conditioning: AudioConditioningConfig,
    live: LiveConfig,
) -> None:
    """Renders from standard input, or a WebSocket, to standard output."""
    if video.background == "transparent":
        raise UserError("--background transparent: a stream has no alpha channel; give a colour")
    if sys.stdout.isatty():
        raise UserError(
            "--live: the video goes to standard output; pipe it into a player, for example: dfa-talk ... | ffplay -"
        )
    # Anything else that is printed to standard output, by nerfstudio above all, must not corrupt the video.
    target = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    with target, contextlib.redirect_stdout(sys.stderr):
        from dfa_nerfstudio.talk.live_stream import render_live
        from dfa_nerfstudio.talk.load_model import load_model
        from dfa_nerfstudio.talk.video_renderer import TalkingVideoRenderer

        renderer = TalkingVideoRenderer(load_config, load_model(load_config, data), video, motion, conditioning)
        renderer.warm_up()
        print("ready", file=sys.stderr, flush=True)
        print(render_live(renderer, live, sys.stdin.buffer, target), file=sys.stderr, flush=True)


def _inspect(path: Path) -> None:
    """Prints a video's provenance metadata.

    Raises:
        SystemExit: with code 1 if the video is not marked as synthetic.
    """
    from dfa_nerfstudio.talk.provenance import inspect_video
    from dfa_nerfstudio.talk.signing import read_credentials

    result = inspect_video(path)
    for name, value in (
        ("comment", result.comment),
        ("digital source type", result.source_type),
        ("created by", result.tool),
        ("content credentials", read_credentials(path)),
    ):
        print(f"{name}: {value or 'none'}")
    print(f"{path}: " + ("marked as synthetic" if result.is_synthetic else "not marked as synthetic"))
    if not result.is_synthetic:
        raise SystemExit(1)
