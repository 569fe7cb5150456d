"""The tab that learns a person: video, verdict, training with a growing preview."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import gradio as gr
from gradio.components import Component

from dfa_nerfstudio.app.events import AT_ONCE
from dfa_nerfstudio.app.job_queue import JobQueue
from dfa_nerfstudio.app.job_work import in_words, learn_configs
from dfa_nerfstudio.app.library import Library
from dfa_nerfstudio.app.status_panel import status_html
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.preprocessing.report.process_report import ProcessReport

ADVICE = """Film one person who talks for one to five minutes: head and shoulders in the frame, camera on a stand, even
light, nobody else, no hand before the face. Speak as always, and blink as always."""
SIZES = (128, 256, 512)
PERSONS = {
    "who speaks": "speaking",
    "the largest face": "largest",
    "the person on the left": "left",
    "the person on the right": "right",
}
CAMERAS = {"motion is removed": "stabilize", "stands still, whatever moves behind": "static"}
CONFIRM = "(name, _) => [name, confirm(`Delete ${name}, the video and everything that was learnt?`)]"
"""Asks in the browser, before the server is asked."""
LEARN, LEARN_AGAIN = "Learn", "Learn again, in the place of the present model"
GRADES = {"good": "✓", "fair": "△", "poor": "✗"}


class LearnTab:
    """Builds the tab's components and connects its buttons.

    Args:
        library: the people.
        queue: their jobs.
        person: component with the name of the person that the page shows.
    """

    def __init__(self, library: Library, queue: JobQueue, person: gr.Dropdown) -> None:
        self.library, self.queue = library, queue
        with gr.Row():
            with gr.Column():
                gr.Markdown(f"### 1 · Video\n{ADVICE}")
                self.video = gr.Video(
                    label="Video of the person",
                    sources=["upload", "webcam"],
                    webcam_options=gr.WebcamOptions(mirror=False),
                    elem_id="source-video",
                )
                self.name = gr.Textbox(label="Name of the person", max_length=60, elem_id="name")
                self.size = gr.Radio(
                    SIZES,
                    value=256,
                    label="Size in pixels",
                    info="128 trains in 3 minutes on a laptop, 256 in 5 to 15; 512 needs a GPU.",
                )
                with gr.Accordion("If the video is difficult", open=False):
                    who = gr.Dropdown(list(PERSONS), value=next(iter(PERSONS)), label="Who is used")
                    camera = gr.Dropdown(list(CAMERAS), value=next(iter(CAMERAS)), label="Camera")
                check = gr.Button("Check the video", variant="primary", elem_id="check")
            with gr.Column():
                gr.Markdown("### 2 · Learn")
                self.verdict = gr.Markdown(elem_id="verdict")
                self.minutes = gr.Slider(0.1, 60, value=5, step=0.1, label="Training, minutes", elem_id="minutes")
                with gr.Accordion("More", open=False):
                    steps = gr.Slider(
                        0.1,
                        3,
                        value=1,
                        step=0.1,
                        label="Training of lips and head motion",
                        info="A factor on its steps: below 1 for a quick test, above 1 for a long video.",
                        elem_id="steps",
                    )
                    delete = gr.Button("Delete this person and all their files", variant="stop", size="sm")
                self.learn_button = gr.Button(LEARN, variant="primary", interactive=False, elem_id="learn")
                self.status = gr.HTML(elem_id="learn-status")
                self.preview = gr.HTML(elem_id="preview")
                cancel = gr.Button("Cancel", size="sm")
        video = [self.video, self.name, self.size, who, camera]
        check.click(self._check, video, [person, self.status], **AT_ONCE)
        self.learn_button.click(self._learn, [person, self.minutes, steps], self.status, **AT_ONCE)
        delete.click(self._delete, [person, gr.State(False)], person, js=CONFIRM, **AT_ONCE)
        cancel.click(self._cancel, person, self.status, **AT_ONCE)

    @property
    def outputs(self) -> list[Component]:
        """Components that `refresh` updates."""
        return [self.status, self.verdict, self.learn_button, self.preview]

    def refresh(self, name: str | None) -> list[object]:
        """Returns new values for `outputs`, for the person that is shown."""
        if not name:
            return ["", "", gr.update(interactive=False), ""]
        folder, job = self.library.person(name), self.queue.latest(name, "process", "learn")
        ready = folder.records.is_finished("process") and not (job and job.is_pending)
        return [
            status_html(self.queue, job),
            _verdict(name, folder.report),
            gr.update(interactive=ready, value=LEARN if folder.config is None else LEARN_AGAIN),
            _preview(name, self.library.preview(name)),
        ]

    def _check(self, video: str | None, name: str, size: int, who: str, camera: str) -> tuple[object, str]:
        if not video:
            raise gr.Error("Upload or record a video first.")
        try:
            if any(job.is_pending for job in self.queue.jobs((name or "").strip())):
                raise UserError("this person has a job already; wait for it, or cancel it")
            self.library.store_video(name, Path(video))
        except UserError as error:
            raise gr.Error(in_words(str(error))) from None
        options = {"size": size, "person": PERSONS[who], "camera": CAMERAS[camera]}
        job = self.queue.add(name.strip(), "process", options)
        return gr.update(choices=self.library.names(), value=job.person), status_html(self.queue, job)

    def _learn(self, name: str, minutes: float, steps: float) -> str:
        options = {"minutes": minutes, "step_multiplier": steps}
        if self.library.person(name).is_trained_with(*learn_configs(**options)):
            gr.Info("This model has been trained so already. Change the minutes to train it again.")
            return status_html(self.queue, self.queue.latest(name, "process", "learn"))
        return status_html(self.queue, self.queue.add(name, "learn", options))

    def _delete(self, name: str | None, confirmed: bool) -> object:
        if not (name and confirmed):
            return gr.skip()
        for job in self.queue.jobs(name):
            self.queue.cancel(job.id)
        self.library.delete(name)
        names = self.library.names()
        return gr.update(choices=names, value=names[0] if names else None)

    def _cancel(self, name: str | None) -> str:
        return status_html(self.queue, self.queue.cancel_latest(name, "process", "learn") if name else None)


def _preview(name: str, image: Path | None) -> str:
    """The preview of the training, with a time in its address, so that browsers load it when it changes."""
    if image is None:
        return ""
    return (
        f'<figure><img src="/people/{quote(name)}/preview?{image.stat().st_mtime_ns}" '
        'alt="on the left a frame of the video, on the right the same frame rendered so far"/>'
        "<figcaption>A frame of the video, and the same frame rendered so far</figcaption></figure>"
    )


def _verdict(name: str, report: ProcessReport | None) -> str:
    """The verdict on the video, with the notes and a link to the report."""
    if report is None:
        return ""
    verdict = report.verdict()
    notes = "".join(f"\n- {in_words(warning)}" for warning in report.warnings)
    return (
        f"**{GRADES[verdict.grade]} {verdict.headline}.** {verdict.text}{notes}\n\n"
        f'<a href="/people/{quote(name)}/report" target="_blank">What was found in the video</a>'
    )
