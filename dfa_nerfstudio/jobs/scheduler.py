"""Scheduling jobs: one thread per running job, which waits for its process on this machine or on a Ray cluster."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Literal, cast

from joblib import Parallel, cpu_count, delayed

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.jobs.subprocess_runner import Job, run_in_subprocess

CORES_PER_JOB = 2
"""CPU cores that one job uses."""

JobResults = Generator[tuple[Job, str, float], None, None]
"""Each finished job, the reason of its failure (empty if it succeeded), and its duration in seconds."""
RunJob = Callable[[Job, Callable[[Callable[[], None]], None]], str]
"""`run_in_subprocess`, on this machine or elsewhere."""


@dataclass
class JobsConfig:
    """How many jobs run at a time, and where."""

    jobs: int = 0
    """Number of files processed at a time; 0 for one per two CPU cores, or one per core of the Ray cluster."""
    backend: Literal["local", "ray"] = "local"
    """Where jobs run: on this machine, or on the Ray cluster at RAY_ADDRESS (if unset, one on this machine)."""

    def __post_init__(self) -> None:
        if self.jobs < 0:
            raise UserError(f"`jobs={self.jobs}`: must not be negative; 0 runs as many jobs as fit")


def run_jobs(jobs: list[Job], config: JobsConfig) -> JobResults:
    """Runs the jobs and yields each one when it ends, with the reason of its failure and its duration.

    When the generator is closed early or interrupted, it returns after every process has removed its unfinished output.
    """
    run_job, num_parallel = _ray_backend(config.jobs) if config.backend == "ray" else _local_backend(config.jobs)
    running: dict[str, Callable[[], None]] = {}
    stopping = threading.Event()

    def work(job: Job) -> tuple[Job, str, float]:
        def on_start(stop: Callable[[], None]) -> None:
            running[job.name] = stop
            if stopping.is_set():
                stop()

        start = time.perf_counter()
        try:
            reason = "interrupted" if stopping.is_set() else run_job(job, on_start)
        finally:
            running.pop(job.name, None)
        return job, reason, time.perf_counter() - start

    # Threads that wait for processes, because joblib's process pools, and Ray's own backend for joblib, fail as a whole
    # when one of their processes dies; and the latter assigns jobs in turn, not to the process that is free.
    parallel = Parallel(
        n_jobs=num_parallel, backend="threading", return_as="generator_unordered", pre_dispatch="n_jobs"
    )
    results = cast(JobResults, parallel(delayed(work)(job) for job in jobs))
    try:
        yield from results
    finally:
        stopping.set()
        for stop in list(running.values()):
            stop()
        while running:
            time.sleep(0.05)
        results.close()


def _local_backend(num_jobs: int) -> tuple[RunJob, int]:
    """Runs jobs on this machine; and how many at a time."""
    return run_in_subprocess, num_jobs or max(1, cpu_count() // CORES_PER_JOB)


def _ray_backend(num_jobs: int) -> tuple[RunJob, int]:
    """Runs jobs on a Ray cluster; and how many at a time.

    All machines of the cluster must have access to the files, and this package installed.
    """
    try:
        import ray
        from ray.exceptions import RayError
    except ImportError:
        raise UserError("`backend=ray`: Ray is not installed; run pip install 'dfa-nerfstudio[ray]'") from None
    if not ray.is_initialized():
        try:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # Ray raises exceptions of no common class
            raise UserError(
                f"`backend=ray`: no Ray cluster can be reached or started ({error}); check RAY_ADDRESS"
            ) from None
    remote = ray.remote(num_cpus=1)(run_in_subprocess)

    def run_job(job: Job, on_start: Callable[[Callable[[], None]], None]) -> str:
        reference = remote.remote(job)
        on_start(lambda: ray.cancel(reference))
        try:
            return ray.get(reference)
        except RayError as error:
            return f"the Ray task failed: {str(error).strip().splitlines()[-1]}"

    return run_job, num_jobs or max(1, int(ray.cluster_resources().get("CPU", 1)))
