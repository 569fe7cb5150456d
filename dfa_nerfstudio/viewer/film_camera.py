"""The viewer opens where the film's own camera stood."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import viser
import viser.transforms as vtf
from jaxtyping import Float
from nerfstudio.viewer.viewer_elements import ViewerControl


class FilmCamera(ViewerControl):
    """Places every new client's camera at the film's, looking at the head, and hides the training frames before it.

    Without it the viewer opens inside the cheek: nerfstudio's first camera is made for larger scenes.
    """

    def __init__(self, camera_to_world: Float[np.ndarray, "4 4"], half_height: float) -> None:
        """
        Args:
            camera_to_world: the film camera in head space, OpenGL axes.
            half_height: half the height of its view in units of the focal length.
        """
        self.camera_to_world, self.half_height = camera_to_world, half_height

    def _setup(self, viewer: Any) -> None:
        super()._setup(viewer)
        self.viser_server.on_client_connect(self.place)

    def place(self, client: viser.ClientHandle) -> None:
        """Moves one client's camera."""
        from nerfstudio.viewer.viewer import VISER_NERFSTUDIO_SCALE_RATIO  # circular at the top

        turn = vtf.SO3.from_matrix(self.camera_to_world[:3, :3]) @ vtf.SO3.from_x_radians(
            math.pi
        )  # viser looks along +z
        position = self.camera_to_world[:3, 3] * VISER_NERFSTUDIO_SCALE_RATIO
        with client.atomic():
            client.camera.up_direction = self.camera_to_world[:3, 1]
            client.camera.wxyz = turn.wxyz
            client.camera.position = position
            client.camera.look_at = np.zeros(3)  # the head: dragging turns around it
            client.camera.fov = 2 * math.atan(self.half_height)
        if self.viewer.hide_images.visible:  # the training frames stand between this camera and the head
            self.viewer.set_camera_visibility(False)
            self.viewer.toggle_cameravis_button()
