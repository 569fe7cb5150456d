"""Many pieces of work, each in a process of its own, here or on a Ray cluster."""

from dfa_nerfstudio.jobs.scheduler import JobsConfig, results
from dfa_nerfstudio.jobs.subprocess_runner import Job

__all__ = ["Job", "JobsConfig", "results"]
