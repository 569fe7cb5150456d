"""Controls that generate a clip for new audio."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import viser

from dfa_nerfstudio.attributes.lips.lip_config import LipConfig
from dfa_nerfstudio.attributes.motion_config import MotionConfig
from dfa_nerfstudio.data.renderer import Renderer
from dfa_nerfstudio.talk.talk_config import AudioConditioningConfig
from dfa_nerfstudio.viewer.clips import Clip, generate_clip
from dfa_nerfstudio.viewer.status_line import StatusLine


class GenerationControls:
    """Generates clips for audio files that are named or uploaded.

    Args:
        gui: viser's GUI API; the controls are added to its open folder.
        model: decides the person.
        status: shows progress and errors.
        on_clip: called with each generated clip.
    """

    def __init__(self, gui: Any, model: Renderer, status: StatusLine, on_clip: Callable[[Clip], None]) -> None:
        self._model, self._status, self._on_clip = model, status, on_clip
        self._path = gui.add_text("File", "", hint="audio or video file on the machine that renders")
        self._upload = gui.add_upload_button("Upload", icon=viser.Icon.UPLOAD, mime_type="audio/*,video/*")
        self._seed = gui.add_number("Seed", 0, step=1)
        self._temperature = gui.add_slider("Temperature", 0.0, 2.0, 0.05, 1.0, hint="variation of the head motion")
        self._restore = gui.add_checkbox(
            "Full lip amplitude", True, hint="gives lips the amplitude that the person has"
        )
        self._projection = gui.add_slider(
            "Own lip shapes",
            0.0,
            1.0,
            0.05,
            LipConfig.lip_projection,
            hint="projection onto shapes of the training video",
        )
        self._smoothing = gui.add_slider(
            "Lip smoothing", 0.0, 3.0, 0.1, LipConfig.smooth_lips, hint="standard deviation in frames"
        )
        generate = gui.add_button("Generate")
        self._upload.on_upload(lambda _: self._save_upload())
        generate.on_click(lambda _: self._generate())

    def _save_upload(self) -> None:
        """Saves the uploaded file on this machine and generates its clip."""
        upload = self._upload.value
        path = Path(tempfile.mkdtemp(prefix="dfa-viewer-")) / Path(upload.name).name
        path.write_bytes(upload.content)
        self._path.value = str(path)
        self._generate()

    def _generate(self) -> None:
        self._status.run(self._generate_clip, "generating")

    def _generate_clip(self) -> None:
        motion = MotionConfig(seed=int(self._seed.value), temperature=self._temperature.value)
        conditioning = AudioConditioningConfig(
            restore_variance=self._restore.value,
            lip_projection=self._projection.value,
            smooth_lips=self._smoothing.value,
        )
        self._on_clip(generate_clip(self._model, Path(self._path.value).expanduser(), motion, conditioning))
