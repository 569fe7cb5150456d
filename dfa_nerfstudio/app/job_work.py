"""The work of each kind of job; runs in a process of its own."""

from __future__ import annotations

import re
import time
from pathlib import Path

from dfa_nerfstudio.app.job_record import JobProgress, JobRecord
from dfa_nerfstudio.app.library import Library
from dfa_nerfstudio.errors import UserError, one_line
from dfa_nerfstudio.reporting.progress import Progress, progress_listener

SHARES = {
    "process": {
        "scanning": 0.03,
        "camera": 0.05,
        "face and person": 0.5,
        "head model": 0.07,
        "head and torso": 0.25,
        "expression and eyes": 0.03,
        "torso masks": 0.02,
        "MFCC and voice": 0.04,
    },
}
"""Share of each stage in the whole time of preprocessing, measured on a clip of 71 s at 256x256."""
ATTRIBUTE_SECONDS = {"autoencoder": 10, "audio encoder": 15, "motion VAE": 30, "cross-modal encoder": 10, "lips": 5}
"""Seconds that each attribute model trains on two CPU cores."""
WRITE_INTERVAL_S = 0.5


def run_job(library: Path, job: JobRecord) -> None:
    """Does a job's work, and writes its progress and, if it fails, the reason.

    Raises:
        UserError: if the job cannot be done.
    """
    work = {"process": _process, "learn": _learn, "talk": _talk, "evaluate": _evaluate}[job.kind]
    listener = _FractionWriter(library, job)
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


class _FractionWriter:
    """Writes how much of a whole job is done, from the progress of its stages."""

    def __init__(self, library: Path, job: JobRecord) -> None:
        self.library, self.job = library, job
        shares = SHARES.get(job.kind, {})
        if job.kind == "learn":
            factor = job.options["step_multiplier"]
            attributes = {name: factor * value for name, value in ATTRIBUTE_SECONDS.items()}
            seconds = attributes | {"training the renderer": 60 * job.options["minutes"]}
            shares = {name: value / sum(seconds.values()) for name, value in seconds.items()}
        self.shares, self.fraction, self.written = shares, 0.0, 0.0

    def __call__(self, progress: Progress) -> None:
        stage = progress.stage.removeprefix("training: ")
        if stage in self.shares:
            before = sum(list(self.shares.values())[: list(self.shares).index(stage)])
            fraction = before + self.shares[stage] * (progress.fraction or 0.0)
        else:
            fraction = 0.0 if self.shares else progress.fraction or 0.0
        self.fraction = max(self.fraction, fraction) if self.shares else fraction
        if time.monotonic() - self.written > WRITE_INTERVAL_S:
            JobProgress(progress.stage, min(self.fraction, 1.0)).save(self.library, self.job.id)
            self.written = time.monotonic()


def _process(library: Library, job: JobRecord) -> None:
    """Options: `size` in pixels, `person` and `camera`, as of `ProcessConfig`."""
    from dfa_nerfstudio.preprocessing.process_config import ProcessConfig

    video = library.source_video(job.person)
    if video is None:
        raise UserError(f"{job.person}: no video; upload one")
    library.person(job.person).process(video, ProcessConfig(**job.options))


def _learn(library: Library, job: JobRecord) -> None:
    """Options: `minutes` of training of the renderer, and `step_multiplier` of the attribute models."""
    from dfa_nerfstudio.attributes.train_attributes import AttributesConfig
    from dfa_nerfstudio.workflow.train_field import TrainConfig

    folder = library.person(job.person)
    folder.train_attributes(AttributesConfig(progress=False, step_multiplier=job.options["step_multiplier"]))
    folder.train_field(TrainConfig(minutes=job.options["minutes"], preview_seconds=5.0))


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
    """No options."""
    from dfa_nerfstudio.evaluation.evaluate import EvaluationConfig
    from dfa_nerfstudio.evaluation.evaluate_command import evaluate_command

    folder = library.person(job.person)
    if folder.config is None:
        raise UserError(f"{job.person}: not trained yet; learn this person first")
    evaluate_command(EvaluationConfig(), folder.config, folder.data)
