"""The tab that makes a person talk: speech, sliders, talking videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr
from gradio.components import Component

from dfa_nerfstudio.app.events import AT_ONCE
from dfa_nerfstudio.app.job_queue import JobQueue
from dfa_nerfstudio.app.job_work import in_words
from dfa_nerfstudio.app.library import Library
from dfa_nerfstudio.app.status_panel import status_html
from dfa_nerfstudio.attributes.motion_config import GENERATED, SOURCE, STILL, MotionConfig
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.talk.talk_config import AudioConditioningConfig, VideoConfig
from dfa_nerfstudio.workflow.person_folder import TALKING

POSES = {"generated from the speech": GENERATED, "as in the video": SOURCE, "still": STILL}
OWN_BLINKS = -1


class TalkTab:
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
                gr.Markdown("### 3 · Speech")
                audio = gr.Audio(
                    label="Speech in any voice and language",
                    sources=["upload", "microphone"],
                    type="filepath",
                    buttons=["download"],
                    elem_id="speech",
                )
                with gr.Accordion("Mouth, head, eyes, background", open=False):
                    options = [
                        gr.Slider(0, 2, value=1, step=0.05, label="Mouth amplitude"),
                        gr.Dropdown(list(POSES), value=next(iter(POSES)), label="Head motion"),
                        gr.Slider(0, 2, value=1, step=0.05, label="Amount of head motion", info="0: the mean motion"),
                        gr.Slider(0, 100, value=0, step=1, label="Another motion", info="Seed of the head motion"),
                        gr.Slider(
                            OWN_BLINKS,
                            60,
                            value=OWN_BLINKS,
                            step=1,
                            label="Blinks per minute",
                            info="-1: as often as the person does",
                        ),
                        gr.Textbox(label="Background", placeholder="as in the video, or a colour: white, #20a0ff"),
                        gr.Image(label="Background image", type="filepath", height=120),
                        gr.Dropdown(
                            [("as trained", 0), *((str(size), size) for size in (128, 256, 512, 1024))],
                            value=0,
                            label="Size in pixels",
                        ),
                    ]
                self.generate = gr.Button("Generate", variant="primary", interactive=False, elem_id="generate")
                self.status = gr.HTML(elem_id="talk-status")
                cancel = gr.Button("Cancel", size="sm")
            with gr.Column():
                gr.Markdown("### 4 · Talking video")
                self.result = gr.Video(
                    label="Talking video", interactive=False, buttons=["download"], elem_id="talking"
                )
                self.videos = gr.Dropdown([], label="All videos of this person", elem_id="videos")
                gr.Markdown("Every video is marked as synthetic in its metadata.")
                with gr.Row():
                    self.evaluate = gr.Button("Evaluate the model", size="sm", interactive=False)
                    self.viewer = gr.Button("Open in the viewer", size="sm", interactive=False)
                self.links, self.viewer_link = gr.HTML(), gr.HTML()
        self.generate.click(self._generate, [person, audio, *options], self.status, **AT_ONCE)
        self.evaluate.click(self._evaluate, person, self.status, **AT_ONCE)
        cancel.click(self._cancel, person, self.status, **AT_ONCE)
        self.videos.input(self._choose, [person, self.videos], self.result, **AT_ONCE)

    @property
    def outputs(self) -> list[Component]:
        """Components that `refresh` updates."""
        return [self.status, self.generate, self.evaluate, self.viewer, self.videos, self.result, self.links]

    def refresh(self, name: str | None, shown: dict[str, Any]) -> list[object]:
        """Returns new values for `outputs`.

        Args:
            name: the person.
            shown: name of the newest video that the browser shows already; updated.
        """
        if not name:
            return ["", *[gr.update(interactive=False)] * 3, gr.update(choices=[], value=None), None, ""]
        folder, job = self.library.person(name), self.queue.latest(name, "talk", "evaluate")
        trained = folder.config is not None
        videos, list_update, video_update = self.library.talking_videos(name), gr.skip(), gr.skip()
        newest = videos[0].name if videos else None
        if shown.get("videos") != newest or shown.get("person") != name:
            names = [path.name for path in videos]
            list_update, video_update = gr.update(choices=names, value=newest), str(videos[0]) if videos else None
            shown["videos"] = newest
        buttons = [gr.update(interactive=trained)] * 3
        return [status_html(self.queue, job), *buttons, list_update, video_update, self._links(name)]

    def _generate(
        self,
        name: str,
        audio: str | None,
        amplitude: float,
        pose: str,
        temperature: float,
        seed: float,
        blinks: float,
        colour: str | None,
        background: str | None,
        size: int,
    ) -> str:
        if not audio:
            raise gr.Error("Upload or record speech first.")
        motion: dict[str, Any] = {
            "pose": POSES[pose],
            "temperature": temperature,
            "seed": int(seed),
            "blink": None if blinks == OWN_BLINKS else str(int(blinks)),
        }
        video: dict[str, Any] = {"background": background or (colour or "").strip() or None, "size": size or None}
        conditioning: dict[str, Any] = {"mouth_amplitude": amplitude}
        try:
            for config, values in (
                (VideoConfig, video),
                (MotionConfig, motion),
                (AudioConditioningConfig, conditioning),
            ):
                config(**values)  # checks them
            speech = self.library.store_upload(name, Path(audio))
            if background:
                video["background"] = str(self.library.store_upload(name, Path(background)))
        except UserError as error:
            raise gr.Error(in_words(str(error))) from None
        suffix = ".webm" if video["background"] == "transparent" else ".mp4"
        options = {
            "audio": str(speech),
            "output": str(self.library.person(name).path / TALKING / f"{speech.stem}{suffix}"),
            "video": video,
            "motion": motion,
            "conditioning": conditioning,
        }
        return status_html(self.queue, self.queue.add(name, "talk", options))

    def _evaluate(self, name: str) -> str:
        return status_html(self.queue, self.queue.add(name, "evaluate"))

    def _cancel(self, name: str | None) -> str:
        return status_html(self.queue, self.queue.cancel_latest(name, "talk", "evaluate") if name else None)

    def _choose(self, name: str, video: str | None) -> str | None:
        known = {path.name: path for path in self.library.talking_videos(name)}
        return str(known[video]) if video in known else None

    def _links(self, name: str) -> str:
        if self.library.evaluation(name) is None:
            return ""
        return f'<a href="/people/{quote(name)}/evaluation" target="_blank">Evaluation of the held-out end</a>'
