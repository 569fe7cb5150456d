"""Running independent jobs, each in a process of its own, on this machine or on a Ray cluster."""

from dfa_nerfstudio.jobs.scheduler import JobsConfig, run_jobs
from dfa_nerfstudio.jobs.subprocess_runner import Job, run_in_subprocess

__all__ = ["Job", "JobsConfig", "run_in_subprocess", "run_jobs"]
