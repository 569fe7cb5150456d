"""What the page says about a person's current job: a bar, the stage, the time left, or the outcome."""

from __future__ import annotations

import html
import time

from dfa_nerfstudio.app.job_queue import JobQueue
from dfa_nerfstudio.app.job_record import JobRecord

TITLES = {
    "process": "Checking the video",
    "learn": "Learning the person",
    "talk": "Rendering the video",
    "evaluate": "Evaluating",
}
"""Names of the kinds of jobs on the page."""


def status_html(queue: JobQueue, job: JobRecord | None) -> str:
    """Returns the panel of a job."""
    if job is None:
        return ""
    title = TITLES[job.kind]
    if job.state == "waiting":
        return _panel(title, f"waiting; {queue.num_before(job)} before it", 0.0)
    if job.state == "running":
        progress = queue.progress(job)
        left = f"about {duration(progress.seconds_left)} left"
        if progress.seconds_left < 0:
            left = f"{duration(time.time() - job.started)} so far"
        return _panel(title, " · ".join(filter(None, (progress.stage, left))), progress.fraction)
    if job.state == "failed":
        return f'<div class="dfa-failed" role="alert"><b>{title}: not possible.</b> {html.escape(job.message)}</div>'
    outcome = "done" if job.state == "done" else "cancelled"
    return f'<div class="dfa-status">{title}: {outcome} after {duration(job.ended - job.started)}.</div>'


def duration(seconds: float) -> str:
    """Returns a duration in words.

    Example:
        >>> duration(42.3), duration(190)
        ('42 s', '3 min 10 s')
    """
    seconds = max(round(seconds), 0)
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min {seconds % 60} s"


def _panel(title: str, text: str, fraction: float) -> str:
    return (
        f'<div class="dfa-status"><b>{title}</b><progress max="1" value="{fraction:.3f}"></progress>'
        f"<span>{html.escape(text)}</span></div>"
    )
