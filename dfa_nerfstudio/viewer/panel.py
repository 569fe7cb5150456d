"""The panel in nerfstudio's viewer with which a talking head is played."""

from __future__ import annotations

import contextlib
import math
import re
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import viser
import viser.transforms as vtf
from nerfstudio.utils.rich_utils import CONSOLE
from nerfstudio.viewer.viewer_elements import ViewerControl

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.viewer.attribute_edits import Edits
from dfa_nerfstudio.viewer.audio_player import Sound
from dfa_nerfstudio.viewer.clips import Playable, film_parts, generated
from dfa_nerfstudio.viewer.model_proxy import Stage
from dfa_nerfstudio.viewer.player import Player

if TYPE_CHECKING:
    from dfa_nerfstudio.nerf.model import DFANerfModel

BY_THE_CLOCK, AT_ONCE = "25 frames/s", "every frame, as fast as possible"
FITTING = '<style>{".js-plotly-plot {width: 0; min-width: 100%}"}</style>'
"""Keeps curves that are drawn before the page knows how wide the panel is from making it wider."""
REDRAWN = 0.5
"""Seconds between two drawings of the curves while frames are played."""


class Panel(ViewerControl):
    """Plays tracks, moves single attributes, generates for new audio, and writes videos.

    Args:
        model: what is looked at, in training or afterwards.
    """

    def __init__(self, model: DFANerfModel) -> None:
        self._model = model

    def _setup(self, viewer: Any) -> None:
        super()._setup(viewer)
        if viewer.config.websocket_host == "0.0.0.0":
            CONSOLE.print(
                "the viewer can be reached from other machines; --viewer.websocket-host 127.0.0.1 keeps it on this one",
                style="yellow",
            )
        self._stage = Stage(self._model)
        viewer.get_model = lambda: self._stage
        viewer.control_panel._time_enabled = False  # frames are chosen here
        viewer.control_panel._time.set_hidden(True)
        self._player = Player(
            lambda: len(self._stage.track), self._show, self._stage.shown, lambda frame: self._hear(frame, True)
        )
        self._drawn = 0.0
        self._figure: Any = None
        self._playables: dict[str, Playable] = {}
        self._build(viewer.viser_server.gui)
        self.viser_server.on_client_connect(self.place)
        threading.Thread(target=self._hide_cameras, daemon=True).start()
        try:
            self._load_film()
        except UserError as error:
            self._say(f"the film cannot be played: {error}")

    def place(self, client: viser.ClientHandle) -> None:
        """Puts one client's camera where the film's stood."""
        from nerfstudio.viewer.viewer import VISER_NERFSTUDIO_SCALE_RATIO  # circular at the top

        film = self._stage.film_camera.numpy()
        turn = vtf.SO3.from_matrix(film[:3, :3]) @ vtf.SO3.from_x_radians(math.pi)  # viser looks along +z
        ahead = -film[:3, 2]
        beside_head = film[:3, 3] - ahead * (ahead @ film[:3, 3])  # dragging turns around it
        with client.atomic():
            client.camera.up_direction = film[:3, 1]
            client.camera.wxyz = turn.wxyz
            client.camera.position = film[:3, 3] * VISER_NERFSTUDIO_SCALE_RATIO
            client.camera.look_at = beside_head * VISER_NERFSTUDIO_SCALE_RATIO
            client.camera.fov = 2 * math.atan(float(self._model.clip.half_extent[1]))

    def _hide_cameras(self) -> None:
        """Hides the training frames, which stand between the film's camera and the head, as soon as they are there:
        nerfstudio draws them last of all, when a browser may long be connected."""
        while not hasattr(self.viewer, "train_state"):  # which follows on the last of them
            time.sleep(0.1)
        self.viewer.set_camera_visibility(False)
        self.viewer.toggle_cameravis_button()

    def _build(self, gui: Any) -> None:
        self._gui = gui
        self._folder = gui.add_folder("Talking head")
        with self._folder:
            self._choice = gui.add_dropdown("Track", ["film"], hint="what is played")
            self._add_slider(1)
            self._play = gui.add_button("Play", icon=viser.Icon.PLAYER_PLAY)
            self._pause = gui.add_button("Pause", icon=viser.Icon.PLAYER_PAUSE, visible=False)
            self._rate = gui.add_dropdown("Speed", [BY_THE_CLOCK, AT_ONCE])
            self._loop = gui.add_checkbox("Loop", True)
            self._sound = Sound(gui)
            self._camera = gui.add_button("Film's camera", icon=viser.Icon.CAMERA, hint="puts the camera back")
            self._follow = gui.add_checkbox("Follow the film's camera", True, hint="otherwise it stands on the head")
            self._said = gui.add_markdown("")
        with gui.add_folder("Attributes"):
            self._set_eyes = gui.add_checkbox("Set the eyes", False, hint="otherwise they are the track's")
            self._eyes = gui.add_slider("Eye opening", 0.0, 1.0, 0.01, 1.0)
            self._mouth = gui.add_slider("Mouth strength", 0.0, 2.0, 0.01, 1.0)
            self._turn = gui.add_slider("Head turn", -30.0, 30.0, 0.5, 0.0)
            self._tilt = gui.add_slider("Head tilt", -20.0, 20.0, 0.5, 0.0)
            self._reset = gui.add_button("As the track has them")
        with gui.add_folder("New audio"):
            self._audio = gui.add_text("File", "", hint="any audio or video file on the machine that renders")
            self._upload = gui.add_upload_button("Upload", icon=viser.Icon.UPLOAD, mime_type="audio/*,video/*")
            self._seed = gui.add_number("Seed", 0, step=1)
            self._temperature = gui.add_slider("Temperature", 0.0, 2.0, 0.05, 1.0)
            self._generate = gui.add_button("Generate")
        with gui.add_folder("Show"):
            self._background = gui.add_checkbox("Background", True)
            self._torso = gui.add_checkbox("Torso", True)
            gui.add_markdown("Where sound and eyes act: *audio_gate_overlay* and *eye_gate_overlay* among "
                             "the outputs under *Control*.")  # fmt: skip
        self._curves_folder = gui.add_folder("Curves")
        with self._curves_folder:
            gui.add_markdown(FITTING)
        self._curves: Any = None
        with gui.add_folder("Video"):
            self._target = gui.add_text("Write to", "talking.mp4", hint="on the machine that renders")
            self._write = gui.add_button("Write this track", icon=viser.Icon.MOVIE)
        self._connect()

    def _connect(self) -> None:
        """What the elements do."""
        self._choice.on_update(lambda _: self._open(self._choice.value))
        self._play.on_click(lambda _: self._start())
        self._pause.on_click(lambda _: self._halt())
        self._rate.on_update(lambda _: self._set_rate())
        self._loop.on_update(lambda _: setattr(self._player, "loop", self._loop.value))
        self._camera.on_click(lambda event: event.client and self.place(event.client))
        for element in (self._set_eyes, self._eyes, self._mouth, self._turn, self._tilt):
            element.on_update(lambda _: self._edit())
        self._reset.on_click(lambda _: self._undo())
        self._upload.on_upload(lambda _: self._take_upload())
        self._generate.on_click(lambda _: self._make())
        for element in (self._background, self._torso, self._follow):
            element.on_update(lambda _: self._switch())
        self._write.on_click(lambda _: self._export())

    def _add_slider(self, length: int) -> None:
        """viser's sliders keep their range: a track of another length has another slider."""
        self._slider = self._gui.add_slider("Frame", 0, max(length - 1, 1), 1, 0, order=self._choice.order + 0.5)
        self._slider.on_update(lambda _: self._set_frame(self._slider.value))

    def _set_frame(self, frame: int) -> None:
        self._stage.frame = min(int(frame), len(self._stage.track) - 1)
        self.viewer._trigger_rerender()
        if not self._player.playing or time.monotonic() - self._drawn > REDRAWN:
            self._draw()

    def _show(self, frame: int) -> None:
        self._slider.value = frame  # which tells `_set_frame`
        if not self._player.loop and frame == len(self._stage.track) - 1:
            self._buttons(False)
            self._hear(frame, False)

    def _start(self) -> None:
        at_the_end = self._stage.frame >= len(self._stage.track) - 1
        self._player.play(0 if at_the_end else self._stage.frame)
        self._buttons(True)

    def _halt(self) -> None:
        self._player.pause()
        self._buttons(False)
        self._hear(self._stage.frame, False)

    def _set_rate(self) -> None:
        self._player.fps = 25.0 if self._rate.value == BY_THE_CLOCK else None
        if self._player.fps is None:
            self._hear(self._stage.frame, False)  # there is no sound of frames that take as long as they take

    def _hear(self, frame: int, playing: bool) -> None:
        """The sound stands at a frame, and goes on from there or not."""
        self._sound.stand(frame / self._stage.track.fps, playing)

    def _buttons(self, playing: bool) -> None:
        self._play.visible, self._pause.visible = not playing, playing

    def _edit(self) -> None:
        eyes = self._eyes.value if self._set_eyes.value else None
        self._stage.edits = Edits(eyes, self._mouth.value, self._turn.value, self._tilt.value)
        with self._reported():
            self._stage.edited(slice(0, 1))  # says here what would end the thread that renders
            self.viewer._trigger_rerender()
            return
        self._undo()

    def _undo(self) -> None:
        self._set_eyes.value, self._mouth.value, self._turn.value, self._tilt.value = False, 1.0, 0.0, 0.0

    def _switch(self) -> None:
        stage = self._stage
        stage.background, stage.torso, stage.follow = self._background.value, self._torso.value, self._follow.value
        self.viewer._trigger_rerender()

    def _load_film(self) -> None:
        parts = film_parts(self._model)
        self._playables = {part.name: part for part in parts}
        self._choice.options = list(self._playables)
        self._open(parts[0].name)

    def _open(self, name: str) -> None:
        playable = self._playables.get(name)
        if playable is None or playable.track is self._stage.track:
            return
        self._player.pause()
        self._buttons(False)
        self._stage.frame, self._stage.track = 0, playable.track
        self._sound.load(playable.sound)
        self._slider.remove()
        with self._folder:
            self._add_slider(len(playable.track))
        self._figure = None
        self._draw()
        self.viewer._trigger_rerender()

    def _take_upload(self) -> None:
        upload = self._upload.value
        kept = Path(tempfile.mkdtemp(prefix="dfa-viewer-")) / Path(upload.name).name
        kept.write_bytes(upload.content)
        self._audio.value = str(kept)
        self._make()

    def _make(self) -> None:
        from dfa_nerfstudio.attributes.motion_config import MovingConfig

        with self._reported("generating"):
            moving = MovingConfig(seed=int(self._seed.value), temperature=self._temperature.value)
            made = generated(self._model, Path(self._audio.value).expanduser(), moving)
            self._playables[made.name] = made
            self._choice.options = list(self._playables)
            self._choice.value = made.name
            self._open(made.name)

    def _export(self) -> None:
        from dfa_nerfstudio.viewer.video_export import export

        with self._reported("writing"):
            playable = self._playables[self._choice.value]
            target = Path(self._target.value).expanduser()
            export(self._model, self._stage, playable, target, self.viewer, lambda line: self._say(line))

    @contextlib.contextmanager
    def _reported(self, doing: str = "") -> Any:
        """Says what is done, and what came of it."""
        begun = f"{doing} ..." if doing else ""
        self._say(begun)
        try:
            yield
            if self._line == begun:
                self._say("")
        except UserError as error:
            self._say(str(error))

    def _say(self, line: str) -> None:
        self._line = line
        self._said.content = re.sub(r"([\\`*_{}<>\[\]])", r"\\\1", line)  # it is read as MDX

    def _draw(self) -> None:
        """The curves, with a line at the frame that is shown."""
        from dfa_nerfstudio.attributes.mouth_probe import read_opening
        from dfa_nerfstudio.viewer.track_curves import curves

        stage, self._drawn = self._stage, time.monotonic()
        now = stage.frame / stage.track.fps
        if self._figure is None:
            with torch.no_grad():
                eyes = stage.models.eye.to_opening(stage.track.eye)
            self._figure = curves(stage.track, eyes, read_opening(stage.track.audio, stage.reading), now)
        self._figure.update_shapes(x0=now, x1=now)
        if self._curves is None:
            with self._curves_folder:
                self._curves = self._gui.add_plotly(self._figure, aspect=1.0)
        else:
            self._curves.figure = self._figure
