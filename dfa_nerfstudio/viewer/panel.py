"""The talking head's panel in nerfstudio's viewer."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path
from typing import Any

import viser
import viser.transforms as vtf
from nerfstudio.utils.rich_utils import CONSOLE
from nerfstudio.viewer.viewer_elements import ViewerControl

from dfa_nerfstudio.data.renderer import Renderer
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.viewer.attribute_sliders import AttributeSliders
from dfa_nerfstudio.viewer.clips import source_clips
from dfa_nerfstudio.viewer.generation_controls import GenerationControls
from dfa_nerfstudio.viewer.model_proxy import ModelProxy
from dfa_nerfstudio.viewer.playback_controls import PlaybackControls
from dfa_nerfstudio.viewer.status_line import StatusLine


class TalkingHeadPanel(ViewerControl):
    """Plays tracks, edits single attributes, generates tracks for new audio, and writes videos.

    Args:
        model: the renderer, during training or afterwards.
    """

    def __init__(self, model: Renderer) -> None:
        self._model = model

    def _setup(self, viewer: Any) -> None:
        """Builds the panel; called by nerfstudio when its viewer starts."""
        super()._setup(viewer)
        if viewer.config.websocket_host == "0.0.0.0":
            CONSOLE.print(
                "the viewer is reachable from other machines; to prevent that: --viewer.websocket-host 127.0.0.1",
                style="yellow",
            )
        self._proxy = ModelProxy(self._model)
        viewer.get_model = lambda: self._proxy
        viewer.control_panel._time_enabled = False  # this panel chooses the frame
        viewer.control_panel._time.set_hidden(True)
        self._build(viewer.viser_server.gui)
        self.viser_server.on_client_connect(self.reset_camera)
        threading.Thread(target=self._hide_training_cameras, daemon=True).start()
        try:
            self._playback.set_clips(source_clips(self._model))
        except UserError as error:
            self._status.show(f"the source video cannot be played: {error}")

    def reset_camera(self, client: viser.ClientHandle) -> None:
        """Moves a client's camera to the source video's."""
        from nerfstudio.viewer.viewer import VISER_NERFSTUDIO_SCALE_RATIO  # circular import at module level

        pose = self._proxy.initial_camera.numpy()
        rotation = vtf.SO3.from_matrix(pose[:3, :3]) @ vtf.SO3.from_x_radians(math.pi)  # viser looks along +z
        forward = -pose[:3, 2]
        pivot = pose[:3, 3] - forward * (forward @ pose[:3, 3])  # beside the head; dragging orbits around it
        with client.atomic():
            client.camera.up_direction = pose[:3, 1]
            client.camera.wxyz = rotation.wxyz
            client.camera.position = pose[:3, 3] * VISER_NERFSTUDIO_SCALE_RATIO
            client.camera.look_at = pivot * VISER_NERFSTUDIO_SCALE_RATIO
            client.camera.fov = 2 * math.atan(float(self._model.clip.half_extent[1]))

    def _hide_training_cameras(self) -> None:
        """Hides the training images as soon as nerfstudio has drawn them, because they hide the head.

        It draws them last of all, when a browser may have been connected for long.
        """
        while not hasattr(self.viewer, "train_state"):  # set after the last image was drawn
            time.sleep(0.1)
        self.viewer.set_camera_visibility(False)
        self.viewer.toggle_cameravis_button()

    def _build(self, gui: Any) -> None:
        from dfa_nerfstudio.viewer.curve_plot import CurvePlot  # plotly takes long to import

        folder = gui.add_folder("Talking head")
        with folder:
            self._playback = PlaybackControls(gui, folder, self._proxy, self._update)
            camera = gui.add_button("Reset camera", icon=viser.Icon.CAMERA, hint="to the source video's camera")
            self._follow = gui.add_checkbox(
                "Follow source camera", True, hint="the head moves in the image; otherwise it stays fixed"
            )
            self._status = StatusLine(gui)
        with gui.add_folder("Attributes"):
            AttributeSliders(gui, self._proxy, self._status, self.viewer._trigger_rerender)
        with gui.add_folder("New audio"):
            GenerationControls(gui, self._model, self._status, self._playback.add_clip)
        with gui.add_folder("Show"):
            self._background = gui.add_checkbox("Background", True)
            self._torso = gui.add_checkbox("Torso", True)
            gui.add_markdown(
                "Select the output *mouth_gate_overlay* or *eye_gate_overlay* under *Control* to see which parts the "
                "mouth and the eye condition control."
            )
        curves = gui.add_folder("Curves")
        with curves:
            self._curves = CurvePlot(gui, curves, self._proxy)
        with gui.add_folder("Video"):
            self._target = gui.add_text("File", "talking.mp4", hint="on the machine that renders")
            write = gui.add_button("Write video", icon=viser.Icon.MOVIE)
        camera.on_click(lambda event: event.client and self.reset_camera(event.client))
        for checkbox in (self._background, self._torso, self._follow):
            checkbox.on_update(lambda _: self._switch())
        write.on_click(lambda _: self._status.run(self._write_video, "writing"))

    def _update(self) -> None:
        """Renders the current frame, and marks it in the curves."""
        self.viewer._trigger_rerender()
        self._curves.draw(self._playback.playing)

    def _switch(self) -> None:
        proxy = self._proxy
        proxy.show_background, proxy.show_torso = self._background.value, self._torso.value
        proxy.follow_source_camera = self._follow.value
        self.viewer._trigger_rerender()

    def _write_video(self) -> None:
        from dfa_nerfstudio.viewer.video_export import export_video  # imports the model

        target = Path(self._target.value).expanduser()
        export_video(self._proxy, self._playback.clip, target, self.viewer, self._status.show)
