"""The tab with all jobs."""

from __future__ import annotations

import gradio as gr
from gradio.components import Component

from dfa_nerfstudio.app.events import AT_ONCE
from dfa_nerfstudio.app.job_queue import JobQueue
from dfa_nerfstudio.app.status_panel import TITLES, duration

COLUMNS = ["person", "job", "state", "time", "reason"]


class QueueTab:
    """Builds the table of jobs and the button that cancels one."""

    def __init__(self, queue: JobQueue) -> None:
        self.queue = queue
        self.table = gr.Dataframe(headers=COLUMNS, interactive=False, wrap=True, label="Jobs, newest first")
        self.pending = gr.Dropdown([], label="Waiting or running", elem_id="pending")
        cancel = gr.Button("Cancel this job", size="sm")
        cancel.click(lambda job: self.queue.cancel(job) if job else None, self.pending, None, **AT_ONCE)

    @property
    def outputs(self) -> list[Component]:
        """Components that `refresh` updates."""
        return [self.table, self.pending]

    def refresh(self, shown: dict[str, object]) -> list[object]:
        """Returns new values for `outputs`, where the jobs have changed.

        Args:
            shown: the jobs that the browser shows already; updated.
        """
        jobs = self.queue.jobs()
        state = [(job.id, job.state) for job in jobs]
        if shown.get("jobs") == state:
            return [gr.skip(), gr.skip()]
        shown["jobs"] = state
        rows = [
            [
                job.person,
                TITLES[job.kind],
                job.state,
                duration(job.ended - job.started) if job.ended and job.started else "",
                job.message,
            ]
            for job in jobs
        ]
        pending = [(f"{job.person}: {TITLES[job.kind]}", job.id) for job in jobs if job.is_pending]
        return [rows, gr.update(choices=pending, value=pending[-1][1] if pending else None)]
