"""The work of each kind of job; runs in a process of its own."""

from __future__ import annotations

import re
import time
from pathlib import Path

from dfa_nerfstudio.app.job_record import JobProgress, JobRecord
from dfa_nerfstudio.app.library import Library
from dfa_nerfstudio.attributes.train_attributes import AttributesConfig
from dfa_nerfstudio.errors import UserError, one_line
from dfa_nerfstudio.reporting.progress import Progress, progress_listener
from dfa_nerfstudio.workflow.train_field import TrainConfig

PROCESS_SECONDS = {
    "scanning": 2.5,
    "camera": 4,
    "face and person": 48,
    "head model": 6.5,
    "head and torso": 26,
    "expression and eyes": 2.5,
    "torso masks": 2,
    "MFCC and voice": 3.5,
}
"""Seconds of each stage of preprocessing for a clip of 71 s at 256x256 on two CPU cores, in their order."""
ATTRIBUTE_SECONDS = {"autoencoder": 10, "audio encoder": 10, "lips": 5, "motion VAE": 45, "cross-modal encoder": 40}
"""Seconds of the training of each attribute model on two CPU cores, in their order."""
MIN_FRACTION = 0.02
"""Completed fraction of a stage from which its time left is estimated."""
WRITE_INTERVAL_S = 0.5
"""Shortest time between two states of the progress file, in seconds."""


def run_job(library: Path, job: JobRecord) -> None:
    """Does a job's work, and writes its progress and, if it fails, the reason.

    Raises:
        UserError: if the job cannot be done.
    """
    work = {"process": _process, "learn": _learn, "talk": _talk, "evaluate": _evaluate}[job.kind]
    listener = _ProgressWriter(library, job)
    try:
        with progress_listener(listener):
            work(Library(library), job)
    except UserError as error:
        JobProgress(error=in_words(str(error))).save(library, job.id)
        raise


def in_words(message: str) -> str:
    """An error's message for a page, where options are no flags.

    Example:
        >>> in_words("the scene changes; use `scene_cut=split`")
        'the scene changes; use scene cut: split'
    """
    named = re.sub(r"`([a-z0-9_.]+)=([^`]*)`", lambda match: f"{match[1].replace('_', ' ')}: {match[2]}", message)
    return one_line(re.sub(r"`([a-z0-9_.]+)`", lambda match: match[1].replace("_", " "), named))


class _ProgressWriter:
    """Writes how much of a whole job is done, and how long the rest takes, from the progress of its stages.

    The current stage is extrapolated. Those after it take their usual times: of learning in seconds, of preprocessing
    in proportion to the time that the stages so far took.
    """

    def __init__(self, library: Path, job: JobRecord) -> None:
        self.library, self.job = library, job
        self.usual = dict[str, float]()
        """Usual seconds of each stage; empty for a job of one stage."""
        if job.kind == "process":
            self.usual = PROCESS_SECONDS
        elif job.kind == "learn":
            factor = job.options["step_multiplier"]
            self.usual = {name: factor * seconds for name, seconds in ATTRIBUTE_SECONDS.items()}
            self.usual["training the renderer"] = 60 * job.options["minutes"]
        self.start = self.stage_start = time.monotonic()
        self.stage, self.written = "", 0.0

    def __call__(self, progress: Progress) -> None:
        stage, now = progress.stage.removeprefix("training: "), time.monotonic()
        if stage != self.stage:
            self.stage, self.stage_start = stage, now
        elif now - self.written < WRITE_INTERVAL_S:
            return
        fraction, left = self._whole_job(stage, progress.fraction or 0.0, now)
        JobProgress(progress.stage, fraction, left).save(self.library, self.job.id)
        self.written = now

    def _whole_job(self, stage: str, fraction: float, now: float) -> tuple[float, float]:
        """Returns the completed fraction of the job, and the seconds left; -1 if they are not known yet."""
        usual = self.usual or {stage: 1.0}
        names = list(usual)
        if stage not in usual:
            return 0.0, -1.0
        before = sum(usual[name] for name in names[: names.index(stage)])
        after = sum(usual[name] for name in names[names.index(stage) + 1 :])
        done = before + usual[stage] * fraction
        if self.job.kind == "process" and done > 0:
            after *= (now - self.start) / done
        left = -1.0
        if fraction >= MIN_FRACTION:
            left = (now - self.stage_start) * (1 - fraction) / fraction + after
        elif self.job.kind == "learn":
            left = usual[stage] + after
        return min(done / sum(usual.values()), 1.0), left


def _process(library: Library, job: JobRecord) -> None:
    """Options: `size` in pixels, `person` and `camera`, as of `ProcessConfig`."""
    from dfa_nerfstudio.preprocessing.process_config import ProcessConfig

    video = library.source_video(job.person)
    if video is None:
        raise UserError(f"{job.person}: no video; upload one")
    library.person(job.person).process(video, ProcessConfig(**job.options))


def learn_configs(minutes: float, step_multiplier: float) -> tuple[AttributesConfig, TrainConfig]:
    """Returns the options of a job of the kind `learn`.

    Args:
        minutes: training time of the renderer.
        step_multiplier: factor on the training steps of the attribute models.
    """
    attributes = AttributesConfig(progress=False, step_multiplier=step_multiplier)
    return attributes, TrainConfig(minutes=minutes, preview_seconds=5.0)


def _learn(library: Library, job: JobRecord) -> None:
    folder = library.person(job.person)
    attributes, train = learn_configs(**job.options)
    folder.train_attributes(attributes)
    folder.train_field(train)


def _talk(library: Library, job: JobRecord) -> None:
    """Options: `audio`, name of the speech file; `video`, `motion` and `conditioning`, of their config classes."""
    from dfa_nerfstudio.attributes.motion_config import MotionConfig
    from dfa_nerfstudio.talk.person import Person
    from dfa_nerfstudio.talk.talk_config import AudioConditioningConfig, VideoConfig

    folder = library.person(job.person)
    if folder.config is None:
        raise UserError(f"{job.person}: not trained yet; learn this person first")
    options = job.options
    video, motion = VideoConfig(**options["video"]), MotionConfig(**options["motion"])
    person = Person(folder.config, folder.data)
    talking = person.talk(Path(options["audio"]), video, motion, AudioConditioningConfig(**options["conditioning"]))
    talking.save(Path(options["output"]))


def _evaluate(library: Library, job: JobRecord) -> None:
    """Without options."""
    from dfa_nerfstudio.evaluation.evaluate import EvaluationConfig
    from dfa_nerfstudio.evaluation.evaluate_command import evaluate_command

    folder = library.person(job.person)
    if folder.config is None:
        raise UserError(f"{job.person}: not trained yet; learn this person first")
    evaluate_command(EvaluationConfig(), folder.config, folder.data)
