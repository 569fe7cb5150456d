"""What nerfstudio's viewer shows in the model's place: another track, changed, from the film's camera or any other."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from nerfstudio.cameras.cameras import Cameras
from torch import Tensor

from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.pinhole_rays import image_rays
from dfa_nerfstudio.talk.frame_renderer import film_cameras
from dfa_nerfstudio.viewer.attribute_edits import Edits

if TYPE_CHECKING:
    from dfa_nerfstudio.attributes.attribute_models import AttributeModels
    from dfa_nerfstudio.nerf.model import DFANerfModel

LEAST = 96
"""Pixels that a picture is high at least, or as high as the film. While frames are played nerfstudio asks for as many
as it thinks can be rendered in time, by the rays a second so far; few of them take hardly less time, and it ends at
pictures without a mouth."""
GREY = 0.5
"""What is seen behind the person when the background is switched off."""
SOUND, EYES = (1.0, 0.2, 0.1), (0.1, 0.5, 1.0)
"""Colours of what the sound and the eyes change."""
HEAD = torch.tensor([[0.0, 0.1, -0.7], [1.3, 1.5, 1.3]])
"""Centre and radii of an ellipsoid around the head, in head space."""


class Stage:
    """Stands between nerfstudio's viewer and the model.

    Training and evaluation go on with the film's own track; only what the viewer asks for sees another one.
    """

    def __init__(self, model: DFANerfModel) -> None:
        self._model = model
        self.track = model.clip.track[model.clip.train_frames].to("cpu")
        """What is played."""
        self.edits = Edits()
        self.frame = 0
        """Which of its frames is shown."""
        self.background = True
        """Whether what is behind the person is shown, or grey."""
        self.torso = True
        """Whether what is not the head is shown."""
        self.follow = True
        """The camera moves with the film's, so that the head is seen to move; otherwise it stands still on the head."""
        self.film_camera = torch.linalg.inv(self.track.head_to_camera[0])
        """Where the viewer's camera stands at first, in head space."""
        self.shown = threading.Event()
        """Set whenever a picture has been made."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    @cached_property
    def models(self) -> AttributeModels:
        """The person's sequence models.

        Raises:
            UserError: if the dataset folder has lost them.
        """
        from dfa_nerfstudio.attributes.attribute_models import FILE_NAME, AttributeModels

        return AttributeModels.load(self._model.clip.folder / FILE_NAME)

    @cached_property
    def reading(self) -> Float[Tensor, " A+1"]:
        """By which mouth opening is read from the audio feature."""
        from dfa_nerfstudio.attributes.mouth_probe import mouth_reading
        from dfa_nerfstudio.data.dataset_folder import DatasetFolder

        clip = self._model.clip
        opening = torch.from_numpy(DatasetFolder.open(clip.folder).attributes.mouth_opening)
        return mouth_reading(clip.track.to("cpu").audio[clip.train_frames], opening[clip.train_frames])

    @property
    def camera(self) -> Cameras:
        """The film's own camera, for `get_outputs_for_camera`, which moves it with the film's."""
        camera = film_cameras(self._model, self.track[:1])
        camera.camera_to_worlds = self.film_camera[None, :3]
        return camera.to(self._model.device)

    def edited(self, frames: slice) -> AttributeTrack:
        """Frames of the track as they are shown."""
        track, edits = self.track[frames], self.edits
        if edits.eyes is None and edits.mouth == 1.0:
            return edits.apply(track)
        return edits.apply(track, self._model.closed_mouth_feature.cpu(), self.models.eye.from_opening)

    def get_outputs_for_camera(self, camera: Cameras, obb_box: Any = None) -> dict[str, Tensor]:
        """As the model's, of the frame that is shown; the camera becomes the one by which it is seen."""
        now = self.edited(slice(self.frame, self.frame + 1))
        height, least = int(camera.height.max()), min(LEAST, self._model.clip.size[1])
        if height < least:
            camera.rescale_output_resolution(least / height)
        if self.follow:
            moved = torch.linalg.inv(now.head_to_camera[0]) @ torch.linalg.inv(self.film_camera)
            pose = torch.eye(4).to(camera.camera_to_worlds)
            pose[:3] = camera.camera_to_worlds.reshape(-1, 3, 4)[0]
            camera.camera_to_worlds = (moved.to(pose) @ pose)[:3].expand(camera.camera_to_worlds.shape)
        outputs = self._model.with_track(now).get_outputs_for_camera(camera, obb_box)
        if not self.torso:
            head = _head(camera, outputs)
            outputs["foreground"], outputs["accumulation"] = (
                outputs["foreground"] * head,
                outputs["accumulation"] * head,
            )
        if not (self.background and self.torso):
            outputs["rgb"] = outputs["foreground"] + (1 - outputs["accumulation"]) * GREY
        for name, colour in (("audio_gate", SOUND), ("eye_gate", EYES)):
            tint = outputs["rgb"].new_tensor(colour).expand_as(outputs["rgb"])
            outputs[f"{name}_overlay"] = torch.lerp(outputs["rgb"], tint, 0.8 * outputs[name])
        self.shown.set()
        return outputs


def _head(camera: Cameras, outputs: dict[str, Tensor]) -> Float[Tensor, "H W 1"]:
    """Whether the surface that a pixel shows lies on the head, with a soft rim."""
    rays = image_rays(camera)
    surface = rays.origins + rays.directions * outputs["depth"]
    centre, radii = HEAD.to(surface)
    return (6 * (1 - ((surface - centre) / radii).norm(dim=-1, keepdim=True)) + 0.5).clamp(0, 1)
