"""Runs the app's jobs one after the other, in processes of their own; survives restarts of the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dfa_nerfstudio.app.job_record import JOBS, JobProgress, JobRecord, Kind, progress_path, read_jobs
from dfa_nerfstudio.app.job_work import run_job
from dfa_nerfstudio.jobs.subprocess_runner import Job, run_in_subprocess

MAX_FINISHED = 50
"""Number of finished jobs that are kept in the list."""
POLL_S = 0.5
"""Longest time between two looks for a waiting job, in seconds."""


class JobQueue:
    """The jobs of a library.

    They are files in the library, so that a reload of the page or a restart of the server loses none: those that were
    running start again, and go on where they stopped as far as their work can.

    Args:
        library: folder of the people.
    """

    def __init__(self, library: Path) -> None:
        self.library = library
        (library / JOBS).mkdir(parents=True, exist_ok=True)
        self._lock, self._saving = threading.Lock(), threading.Lock()
        self._jobs = {job.id: job for job in read_jobs(library)}
        self._running: JobRecord | None = None
        self._stop_running: Callable[[], None] | None = None
        self._stopping = False
        self._changed = threading.Event()
        for job in self._jobs.values():
            if job.state == "running":
                self._set(job, state="waiting")
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def add(self, person: str, kind: Kind, options: dict[str, Any] | None = None) -> JobRecord:
        """Adds a job at the end of the queue."""
        job = JobRecord(person, kind, options or {})
        with self._lock:
            self._jobs[job.id] = job
        self._save(job)
        self._changed.set()
        return job

    def cancel(self, job_id: str) -> None:
        """Cancels a job that waits or runs; its process cleans up and ends. Other jobs are left as they are."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None or not job.is_pending:
                return
            job.state, job.ended = "cancelled", time.time()
            stop = self._stop_running if job is self._running else None
        self._save(job)
        if stop is not None:
            stop()

    def cancel_latest(self, person: str, *kinds: Kind) -> JobRecord | None:
        """Cancels the newest job of a person of one of these kinds, and returns it."""
        job = self.latest(person, *kinds)
        if job is not None:
            self.cancel(job.id)
        return job

    def jobs(self, person: str | None = None) -> list[JobRecord]:
        """All jobs, or those of one person, newest first."""
        with self._lock:
            jobs = sorted(self._jobs.values(), key=lambda job: job.id, reverse=True)
        return [job for job in jobs if person in (None, job.person)]

    def latest(self, person: str, *kinds: Kind) -> JobRecord | None:
        """The newest job of a person of one of these kinds."""
        return next((job for job in self.jobs(person) if job.kind in kinds), None)

    def num_before(self, job: JobRecord) -> int:
        """Number of jobs that run or wait before a waiting one."""
        return sum(other.is_pending and other.id < job.id for other in self.jobs())

    def progress(self, job: JobRecord) -> JobProgress:
        """How far a job is."""
        return JobProgress.read(self.library, job)

    def close(self) -> None:
        """Ends the running process; its job waits for the next start."""
        self._stopping = True
        self._changed.set()
        if self._stop_running is not None:
            self._stop_running()
        self._thread.join(60)

    def _work(self) -> None:
        while not self._stopping:
            waiting = [job for job in reversed(self.jobs()) if job.state == "waiting"]
            if not waiting:
                self._changed.wait(POLL_S)
                self._changed.clear()
                continue
            self._run(waiting[0])

    def _run(self, job: JobRecord) -> None:
        progress_path(self.library, job.id).unlink(missing_ok=True)
        with self._lock:
            if job.state != "waiting":
                return
            self._running, job.state, job.started = job, "running", time.time()
        self._save(job)
        output = Path(job.options.get("output", self.library / job.person / "data"))
        reason = run_in_subprocess(Job(job.id, output, run_job, (self.library, job)), self._on_start)
        with self._lock:
            self._running = self._stop_running = None
            cancelled = job.state == "cancelled"
        if cancelled:
            return
        if self._stopping and reason:
            self._set(job, state="waiting")
        elif reason:
            self._set(job, state="failed", message=self.progress(job).error or reason, ended=time.time())
        else:
            self._set(job, state="done", ended=time.time())
        self._forget_old()

    def _on_start(self, stop: Callable[[], None]) -> None:
        with self._lock:
            self._stop_running = stop
            ends = self._stopping or (self._running is not None and self._running.state == "cancelled")
        if ends:
            stop()

    def _set(self, job: JobRecord, **values: Any) -> None:
        for name, value in values.items():
            setattr(job, name, value)
        self._save(job)

    def _save(self, job: JobRecord) -> None:
        with self._saving:  # one thread at a time writes a file
            job.save(self.library)

    def _forget_old(self) -> None:
        for job in [job for job in self.jobs() if not job.is_pending][MAX_FINISHED:]:
            with self._lock:
                del self._jobs[job.id]
            (self.library / JOBS / f"{job.id}.json").unlink(missing_ok=True)
            progress_path(self.library, job.id).unlink(missing_ok=True)
