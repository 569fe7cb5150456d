"""Jobs of the app as files, so that they survive a restart."""

from __future__ import annotations

import dataclasses
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.json_file import read_json

Kind = Literal["process", "learn", "talk", "evaluate"]
State = Literal["waiting", "running", "done", "failed", "cancelled"]
JOBS = ".jobs"
"""Folder of the job files, in the library."""


@dataclass
class JobRecord:
    """One job: its work, its state, and its outcome."""

    person: str
    """Name of the person."""
    kind: Kind
    """`process` converts the video, `learn` trains, `talk` renders a video, `evaluate` writes the report."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the work; see `job_work`."""
    id: str = field(default_factory=lambda: f"{time.time_ns():x}")
    """Name of the job's files; later jobs sort behind earlier ones."""
    state: State = "waiting"
    """State of the job."""
    message: str = ""
    """Reason of a failure."""
    started: float = 0.0
    """Time at which the job was last started, seconds since 1970."""
    ended: float = 0.0
    """Time at which the job ended, seconds since 1970."""

    @property
    def is_pending(self) -> bool:
        """Whether the job waits or runs."""
        return self.state in ("waiting", "running")

    def save(self, library: Path) -> None:
        """Writes the job's file."""
        with atomic_write(library / JOBS / f"{self.id}.json") as partial:
            partial.write_text(json.dumps(dataclasses.asdict(self), indent=1))


@dataclass
class JobProgress:
    """How far a running job is, as its process writes it."""

    stage: str = ""
    """Name of the current stage."""
    fraction: float = 0.0
    """Completed fraction of the whole job, 0 to 1; an estimate."""
    seconds_left: float = -1.0
    """Estimated seconds until the job is done; negative if they are not known yet."""
    error: str = ""
    """Reason of a failure, in words."""

    @classmethod
    def read(cls, library: Path, job: JobRecord) -> JobProgress:
        """Reads a job's progress; an empty one if it has written none."""
        try:
            return cls(**read_json(progress_path(library, job.id), ""))
        except (UserError, TypeError):
            return cls()

    def save(self, library: Path, job_id: str) -> None:
        """Writes the progress file of a job."""
        with atomic_write(progress_path(library, job_id)) as partial:
            partial.write_text(json.dumps(dataclasses.asdict(self)))


def progress_path(library: Path, job_id: str) -> Path:
    """Path of a job's progress file."""
    return library / JOBS / f"{job_id}.progress"


def read_jobs(library: Path) -> list[JobRecord]:
    """Reads all jobs, oldest first; leaves out files that cannot be read."""
    jobs = []
    for path in sorted((library / JOBS).glob("*.json")):
        try:
            jobs.append(JobRecord(**read_json(path, "")))
        except (UserError, TypeError):
            continue
    return jobs
