"""The functions and classes of the Python API; import them from `dfa_nerfstudio`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dfa_nerfstudio.attributes import train_attributes as attribute_training
from dfa_nerfstudio.attributes.attribute_models import MODELS_FILE_NAME
from dfa_nerfstudio.attributes.motion_config import MotionConfig
from dfa_nerfstudio.attributes.train_attributes import AttributesConfig
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation import evaluate as evaluation
from dfa_nerfstudio.evaluation.evaluate import Evaluation, EvaluationConfig
from dfa_nerfstudio.evaluation.video_pairs import held_out_pair
from dfa_nerfstudio.jobs import JobsConfig
from dfa_nerfstudio.preprocessing.process_config import ProcessConfig
from dfa_nerfstudio.preprocessing.report.process_report import ProcessReport
from dfa_nerfstudio.reporting.console import make_console
from dfa_nerfstudio.reporting.progress import Progress, progress_listener
from dfa_nerfstudio.talk import batch
from dfa_nerfstudio.talk.find_run import find_run
from dfa_nerfstudio.talk.person import Person, TalkingVideo
from dfa_nerfstudio.talk.talk_config import AudioConditioningConfig, VideoConfig
from dfa_nerfstudio.workflow.person_folder import PersonFolder
from dfa_nerfstudio.workflow.train_field import TrainConfig, train_field

__all__ = [
    "AttributesConfig",
    "AudioConditioningConfig",
    "Evaluation",
    "EvaluationConfig",
    "JobsConfig",
    "MotionConfig",
    "Person",
    "PersonFolder",
    "ProcessConfig",
    "ProcessReport",
    "Progress",
    "TalkingVideo",
    "TrainConfig",
    "UserError",
    "VideoConfig",
    "evaluate",
    "load",
    "process",
    "progress_listener",
    "render_batch",
    "train",
    "train_attributes",
]


def process(video: Path | str, output: Path | str, config: ProcessConfig | None = None) -> ProcessReport:
    """Converts a video of one person talking to a dataset folder.

    Args:
        video: mp4, mov, mkv, webm, or another file with video and audio.
        output: the dataset folder, which appears only when it is complete.
        config: options.

    Returns:
        what was found; `verdict()` says whether the video is suitable for training.

    Raises:
        UserError: if the video cannot be used, or the output exists.
    """
    from dfa_nerfstudio.preprocessing.process_video import process_video  # mediapipe, which exists for few Pythons

    return process_video(Path(video), Path(output), config or ProcessConfig())


def train_attributes(folder: Path | str, config: AttributesConfig | None = None) -> None:
    """Trains the attribute models of a dataset folder and writes them, and the attribute track, into it.

    Raises:
        UserError: if the folder or an option cannot be used.
    """
    attribute_training.train_attributes(Path(folder), config or AttributesConfig(progress=False))


def train(
    folder: Path | str,
    output: Path | str,
    config: TrainConfig | None = None,
    attributes: AttributesConfig | None = None,
) -> Path:
    """Trains the renderer of a dataset folder, and first its attribute models where it has none.

    An interrupted training of the renderer goes on where it stopped.

    Args:
        folder: the dataset folder.
        output: folder that receives the run, as `runs/METHOD/run`.
        config: method and length of the renderer's training.
        attributes: options of the attribute models.

    Returns:
        the run's `config.yml`, for `load` and for nerfstudio's commands.

    Raises:
        UserError: if the folder or an option cannot be used.
        KeyboardInterrupt: after an interrupt; the checkpoint is saved.
    """
    if not (Path(folder) / MODELS_FILE_NAME).exists():
        train_attributes(folder, attributes)
    return train_field(Path(folder), Path(output), config or TrainConfig())


def load(run: Path | str, data: Path | str | None = None) -> Person:
    """Loads a trained person.

    Args:
        run: the run's `config.yml`, or a folder that contains it, such as a `PersonFolder`; of several, the newest.
        data: the dataset folder, if it has moved since the training.

    Raises:
        UserError: if there is no trained run, or its checkpoint cannot be read.
    """
    return Person(run, data)


def render_batch(
    run: Path | str,
    audio: Iterable[Path | str],
    output: Path | str,
    video: VideoConfig | None = None,
    motion: MotionConfig | None = None,
    conditioning: AudioConditioningConfig | None = None,
    jobs: JobsConfig | None = None,
    data: Path | str | None = None,
) -> int:
    """Renders a talking video for each of several audio files, each in a process of its own, and prints each result.

    Args:
        run: see `load`.
        audio: audio files, and folders of audio files.
        output: folder of the videos, which are named like the audio files.
        video: see `Person.talk`.
        motion: see `Person.talk`; the seed is increased by one for each further file.
        conditioning: see `Person.talk`.
        jobs: number of parallel jobs, and where they run: on this machine or on a Ray cluster.
        data: see `load`.

    Returns:
        the number of failed videos.

    Raises:
        UserError: if there is no trained run, an audio file does not exist, or two have the same name.
    """
    return batch.render_batch(
        find_run(Path(run)),
        None if data is None else Path(data),
        batch.find_audio_files(tuple(map(Path, audio))),
        Path(output),
        video or VideoConfig(),
        motion or MotionConfig(),
        conditioning or AudioConditioningConfig(),
        jobs or JobsConfig(),
        make_console(),
    )


def evaluate(run: Path | str, config: EvaluationConfig | None = None, data: Path | str | None = None) -> Evaluation:
    """Computes the metrics of a run on the held-out end of its person's video.

    Args:
        run: see `load`.
        config: protocols, and weights of pretrained scorers.
        data: see `load`.

    Raises:
        UserError: if nothing is held out, or weights cannot be read.
    """
    config = config or EvaluationConfig()
    pair = held_out_pair(find_run(Path(run)), config.speech, None if data is None else Path(data))
    return evaluation.evaluate(pair, config)
