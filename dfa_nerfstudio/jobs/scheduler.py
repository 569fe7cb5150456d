"""Who works on what: threads that wait for processes, here or on a Ray cluster."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Literal, cast

from joblib import Parallel, cpu_count, delayed

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.jobs.subprocess_runner import Job, work_alone

CORES = 2
"""What one job keeps busy."""

Results = Generator[tuple[Job, str, float], None, None]
Process = Callable[[Job, Callable[[Callable[[], None]], None]], str]
"""`work_alone`, here or elsewhere."""


@dataclass
class JobsConfig:
    """How many pieces of work are done at a time, and where."""

    jobs: int = 0
    """Files at a time; 0 for one to every two cores, or to every core of the Ray cluster."""
    backend: Literal["local", "ray"] = "local"
    """Where: on this machine, or on the Ray cluster that RAY_ADDRESS names (without it, one on this machine)."""

    def __post_init__(self) -> None:
        if self.jobs < 0:
            raise UserError(f"--jobs {self.jobs}: give a number, or 0 for as many as fit")


def results(jobs: list[Job], config: JobsConfig) -> Results:
    """Does the jobs and yields them as they end: the job, why it failed if it did, and the seconds it took.

    Closed early or interrupted, it returns when every process has put away what it had half-written.
    """
    process, at_a_time = _on_ray(config.jobs) if config.backend == "ray" else _here(config.jobs)
    running: dict[str, Callable[[], None]] = {}
    stopping = threading.Event()

    def work(job: Job) -> tuple[Job, str, float]:
        def on_start(stop: Callable[[], None]) -> None:
            running[job.name] = stop
            if stopping.is_set():
                stop()

        start = time.perf_counter()
        try:
            reason = "interrupted" if stopping.is_set() else process(job, on_start)
        finally:
            running.pop(job.name, None)
        return job, reason, time.perf_counter() - start

    # A thread each, which waits for a process. joblib's process pools, and Ray's own backend for joblib, are lost as a
    # whole when one of their processes dies; and the latter hands out jobs in turn, not to who is free.
    parallel = Parallel(n_jobs=at_a_time, backend="threading", return_as="generator_unordered", pre_dispatch="n_jobs")
    outcomes = cast(Results, parallel(delayed(work)(job) for job in jobs))
    try:
        yield from outcomes
    finally:
        stopping.set()
        for stop in list(running.values()):
            stop()
        while running:
            time.sleep(0.05)
        outcomes.close()


def _here(jobs: int) -> tuple[Process, int]:
    """On this machine."""
    return work_alone, jobs or max(1, cpu_count() // CORES)


def _on_ray(jobs: int) -> tuple[Process, int]:
    """On a Ray cluster whose machines all see the files, and have this program."""
    try:
        import ray
        from ray.exceptions import RayError
    except ImportError:
        raise UserError("--backend ray: ray is not installed; pip install 'dfa-nerfstudio[ray]'") from None
    if not ray.is_initialized():
        try:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # Ray raises plain ones
            raise UserError(f"--backend ray: no Ray cluster can be reached or started ({error})") from None
    remote = ray.remote(num_cpus=1)(work_alone)

    def process(job: Job, on_start: Callable[[Callable[[], None]], None]) -> str:
        reference = remote.remote(job)
        on_start(lambda: ray.cancel(reference))
        try:
            return ray.get(reference)
        except RayError as error:
            return f"Ray lost it: {str(error).strip().splitlines()[-1]}"

    return process, jobs or max(1, int(ray.cluster_resources().get("CPU", 1)))
