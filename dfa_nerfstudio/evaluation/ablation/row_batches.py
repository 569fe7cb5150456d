"""Rows computed by several processes at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import torch
from joblib import cpu_count
from rich.progress import track

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.ablation.stored_row import StoredRow
from dfa_nerfstudio.jobs import Job, JobsConfig, run_jobs

BATCHES_PER_PROCESS = 2
"""Batches that a process computes on average. With one, some cores would have nothing to do at the end; with more, more
processes would start."""


def compute_rows(title: str, rows: Sequence[StoredRow], output: Path, processes: int) -> None:
    """Computes rows in several processes, each on its share of the CPU cores. A process computes a batch of rows,
    because it needs seven seconds to start.

    Args:
        title: of the progress bar.
        rows: rows that are not stored.
        output: folder that all rows are below.
        processes: number of processes at a time.

    Raises:
        UserError: if a row fails.
    """
    num_batches = min(len(rows), BATCHES_PER_PROCESS * processes if processes > 1 else 1)
    num_threads = max(1, cpu_count() // processes)
    batches = [rows[first::num_batches] for first in range(num_batches)]
    jobs = [
        Job(f"{len(batch)} rows from {batch[0].name} on", output, _compute_batch, (batch, num_threads))
        for batch in batches
    ]
    with contextlib.closing(run_jobs(jobs, JobsConfig(jobs=processes))) as finished:
        for job, reason, _ in track(finished, title, total=len(jobs), disable=not jobs):
            if reason:
                raise UserError(f"{job.name}: {reason}")


def _compute_batch(rows: Sequence[StoredRow], num_threads: int) -> None:
    torch.set_num_threads(num_threads)
    for row in rows:
        try:
            row.values()
        except UserError as error:
            raise UserError(f"{row.name}: {error}") from None
