"""`dfa-make VIDEO --audio SPEECH`: from a video to a talking video."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeVar

import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dfa_nerfstudio.attributes.motion_config import MotionConfig
from dfa_nerfstudio.attributes.train_attributes import AttributesConfig
from dfa_nerfstudio.errors import UserError, as_flags
from dfa_nerfstudio.preprocessing.process_config import ProcessConfig
from dfa_nerfstudio.reporting.console import make_console
from dfa_nerfstudio.reporting.progress import progress_listener
from dfa_nerfstudio.talk.talk_config import AudioConditioningConfig, VideoConfig
from dfa_nerfstudio.workflow.train_field import TrainConfig

T = TypeVar("T")


@dataclass
class MakeConfig:
    """Options of all stages, with the names that they have in the single commands."""

    process: ProcessConfig = field(default_factory=ProcessConfig)
    """Options of dfa-process."""
    attributes: AttributesConfig = field(default_factory=AttributesConfig)
    """Options of dfa-attributes."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """Method and length of the renderer's training."""
    video: VideoConfig = field(default_factory=VideoConfig)
    """Format and content of the talking videos."""
    motion: MotionConfig = field(default_factory=MotionConfig)
    """Source of head motion and blinks."""
    conditioning: AudioConditioningConfig = field(default_factory=AudioConditioningConfig)
    """Post-processing of the lips."""


def make(
    video: Annotated[Path, tyro.conf.Positional],
    config: Annotated[MakeConfig, tyro.conf.arg(name="")],
    audio: tuple[Path, ...] = (),
    output: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Learns a person from a video, and renders talking videos: dfa-process, dfa-attributes, ns-train and dfa-talk.

    What is done already is not done again, also after an interruption: the same command goes on where it stopped, and
    one with other audio renders only that.

    Args:
        video: video of one person talking (mp4, mov, mkv, webm), a minute or more.
        config: options of the stages.
        audio: Speech to say, as wav, flac, mp3, or any other audio or video file; several files, or a folder. Without
            it the person is only learnt.
        output: Folder of this person; by default people/ and the video's name.
        overwrite: Whether results of another video or other options are replaced.
    """
    from dfa_nerfstudio.talk.batch import find_audio_files
    from dfa_nerfstudio.talk.person import Person
    from dfa_nerfstudio.workflow.person_folder import PersonFolder

    console = make_console()
    files = find_audio_files(audio) if audio else []
    _check_speech(files, config.video)
    folder = PersonFolder(output or Path("people") / video.stem, overwrite)

    def process() -> bool:
        to_do = folder.process(video, config.process, console)
        for line in folder.report.lines() if to_do and folder.report else ():
            console.print(as_flags(line))
        return to_do

    stages = (
        ("1/3 dataset folder", process),
        ("2/3 attribute models", lambda: folder.train_attributes(config.attributes)),
        ("3/3 renderer", lambda: _with_bar(lambda: folder.train_field(config.train), "training", console)),
    )
    for title, work in stages:
        console.rule(title)
        if not work():
            console.print("done already")
    assert folder.config is not None
    if files:
        console.rule("talking videos")
        person = Person(folder.config, folder.data)
    suffix = ".webm" if config.video.background == "transparent" else ".mp4"
    for path in files:
        target = folder.talking_video(path, suffix)
        talking = person.talk(path, config.video, config.motion, config.conditioning)
        _with_bar(lambda target=target, talking=talking: talking.save(target), path.name, console)
        console.print(f"{target}: marked as synthetic", soft_wrap=True)
    console.print(f"config: {folder.config}", soft_wrap=True)


def _check_speech(files: list[Path], video: VideoConfig) -> None:
    """Finds what is wrong with the speech and the videos' format before minutes of training.

    Raises:
        UserError: if a file has no usable audio, two have the same name, or the background cannot be read.
    """
    from dfa_nerfstudio.media.audio_selection import find_speech
    from dfa_nerfstudio.talk.background_compositor import BackgroundCompositor

    for path in files:
        find_speech(path, video.audio_track)
    names = [path.stem for path in files]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"`audio`: two files are named {double}, and so would be their videos; rename one")
    BackgroundCompositor(video.background, (64, 64))


def _with_bar(work: Callable[[], T], title: str, console: Console) -> T:
    """Shows the progress that `work` reports."""
    columns = (TextColumn(title), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("", total=1.0)
        with progress_listener(lambda progress: bars.update(task, completed=progress.fraction or 0)):
            return work()
