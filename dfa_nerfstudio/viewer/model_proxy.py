"""Renders an edited track in place of the model's own, for nerfstudio's viewer."""

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
from dfa_nerfstudio.data.renderer import Renderer
from dfa_nerfstudio.talk.frame_renderer import source_cameras
from dfa_nerfstudio.viewer.attribute_edits import AttributeEdits

if TYPE_CHECKING:
    from dfa_nerfstudio.attributes.attribute_models import AttributeModels

MIN_HEIGHT = 96
"""Minimum image height in pixels, or the source video's if that is smaller. While frames are played, nerfstudio chooses
the image size by the measured rays per second. Small images take hardly less time, so nerfstudio would shrink them
until no mouth is visible."""
BACKGROUND_GREY = 0.5
"""Intensity behind the person when the background is hidden."""
GATE_COLOURS = {"mouth_gate": (1.0, 0.2, 0.1), "eye_gate": (0.1, 0.5, 1.0)}
"""RGB colours in [0, 1] of the overlays that show where mouth and eyes condition the field."""
HEAD_ELLIPSOID = torch.tensor([[0.0, 0.1, -0.7], [1.3, 1.5, 1.3]])
"""Centre and radii of an ellipsoid around the head, in head space."""


class ModelProxy:
    """Stands between nerfstudio's viewer and the model, and renders the chosen frame of the chosen track.

    Training and evaluation use the model itself and its own track; only the viewer's requests go through the proxy.
    All other members are forwarded to the model.
    """

    def __init__(self, model: Renderer) -> None:
        """
        Args:
            model: the renderer; nerfstudio's viewer needs it to be a nerfstudio `Model` too.
        """
        self.model = model
        self.track = model.clip.track[model.clip.train_frames].to("cpu")
        """Track that is played, on the CPU."""
        self.edits = AttributeEdits()
        """Edits of the track."""
        self.frame = 0
        """Number of the track's frame that is rendered."""
        self.show_background = True
        """Whether the background is rendered; otherwise it is grey."""
        self.show_torso = True
        """Whether the torso is rendered, or the head alone before grey."""
        self.follow_source_camera = True
        """Whether the viewing camera moves with the source video's, so that the head moves in the image; otherwise the
        head stays fixed."""
        self.initial_camera = torch.linalg.inv(self.track.head_to_camera[0])
        """Initial pose of the viewing camera: camera to head space, [4, 4]."""
        self.frame_rendered = threading.Event()
        """Set whenever an image has been rendered."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    @cached_property
    def attribute_models(self) -> AttributeModels:
        """Attribute models of the dataset folder.

        Raises:
            UserError: if they are missing or damaged.
        """
        from dfa_nerfstudio.attributes.attribute_models import MODELS_FILE_NAME, AttributeModels

        return AttributeModels.load(self.model.clip.folder / MODELS_FILE_NAME)

    @cached_property
    def mouth_probe(self) -> Float[Tensor, " A+1"]:
        """Weights of the linear probe that predicts mouth opening from the mouth condition."""
        from dfa_nerfstudio.attributes.mouth_probe import fit_mouth_probe
        from dfa_nerfstudio.data.dataset_folder import DatasetFolder

        clip = self.model.clip
        opening = torch.from_numpy(DatasetFolder.open(clip.folder).attributes.mouth_opening)
        return fit_mouth_probe(clip.track.to("cpu").mouth[clip.train_frames], opening[clip.train_frames])

    @property
    def source_camera(self) -> Cameras:
        """Camera for which `get_outputs_for_camera` renders the source video's view, if `follow_source_camera`."""
        camera = source_cameras(self.model, self.track[:1])
        camera.camera_to_worlds = self.initial_camera[None, :3]
        return camera.to(self.model.device)

    def edited_track(self, frames: slice) -> AttributeTrack:
        """Returns frames of the track with the edits applied."""
        track, edits = self.track[frames], self.edits
        if edits.eye_opening is None and edits.mouth_amplitude == 1.0:
            return edits.apply(track)
        closed_mouth = self.model.closed_mouth_feature.cpu()
        return edits.apply(track, closed_mouth, self.attribute_models.eye.from_opening)

    def get_outputs_for_camera(self, camera: Cameras, obb_box: Any = None) -> dict[str, Tensor]:
        """Renders the current frame; see `Renderer.get_outputs_for_camera`.

        Args:
            camera: one camera; changed in place to the one that is rendered.
            obb_box: passed to the model.

        Returns:
            the model's outputs, and for each gate among them an overlay in which it tints the image.
        """
        frame = self.edited_track(slice(self.frame, self.frame + 1))
        height, min_height = int(camera.height.max()), min(MIN_HEIGHT, self.model.clip.size[1])
        if height < min_height:
            camera.rescale_output_resolution(min_height / height)
        if self.follow_source_camera:
            motion = torch.linalg.inv(frame.head_to_camera[0]) @ torch.linalg.inv(self.initial_camera)
            pose = torch.eye(4).to(camera.camera_to_worlds)
            pose[:3] = camera.camera_to_worlds.reshape(-1, 3, 4)[0]
            camera.camera_to_worlds = (motion.to(pose) @ pose)[:3].expand(camera.camera_to_worlds.shape)
        outputs = self.model.with_track(frame).get_outputs_for_camera(camera, obb_box)
        if not self.show_torso:
            head = _head_mask(camera, outputs["depth"])
            outputs["foreground"] = outputs["foreground"] * head
            outputs["accumulation"] = outputs["accumulation"] * head
        if not (self.show_background and self.show_torso):
            outputs["rgb"] = outputs["foreground"] + (1 - outputs["accumulation"]) * BACKGROUND_GREY
        for name, colour in GATE_COLOURS.items():
            if name in outputs:
                tint = outputs["rgb"].new_tensor(colour).expand_as(outputs["rgb"])
                outputs[f"{name}_overlay"] = torch.lerp(outputs["rgb"], tint, 0.8 * outputs[name])
        self.frame_rendered.set()
        return outputs


def _head_mask(camera: Cameras, depth: Float[Tensor, "H W 1"]) -> Float[Tensor, "H W 1"]:
    """Returns a mask in [0, 1] of the pixels whose visible surface lies on the head, with a soft border."""
    rays = image_rays(camera)
    surface = rays.origins + rays.directions * depth
    centre, radii = HEAD_ELLIPSOID.to(surface)
    return (6 * (1 - ((surface - centre) / radii).norm(dim=-1, keepdim=True)) + 0.5).clamp(0, 1)
