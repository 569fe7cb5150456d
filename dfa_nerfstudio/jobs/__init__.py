"""Many pieces of work, each in a process of its own, here or on a Ray cluster."""

from dfa_nerfstudio.jobs.alone import Job
from dfa_nerfstudio.jobs.schedule import JobsConfig, results

__all__ = ["Job", "JobsConfig", "results"]
