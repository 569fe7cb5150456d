"""From an attribute track to pictures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import UInt8
from nerfstudio.cameras.cameras import Cameras, CameraType

from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.nerf.model import DFANerfModel


def film_cameras(model: DFANerfModel, track: AttributeTrack, scale: float = 1.0) -> Cameras:
    """The film's own camera in head space for each of the track's frames; `scale` times the film's pixels."""
    width, height = model.clip.size
    focal = width / 2 / float(model.clip.half_extent[0])
    cameras = Cameras(
        camera_to_worlds=torch.linalg.inv(track.head_to_camera)[:, :3],
        fx=focal,
        fy=focal,
        cx=width / 2,
        cy=height / 2,
        width=width,
        height=height,
        times=torch.linspace(0, 1, len(track))[:, None],
        camera_type=CameraType.PERSPECTIVE,
    )
    if scale != 1.0:
        cameras.rescale_output_resolution(scale)
    return cameras


@torch.no_grad()
def render_track(
    model: DFANerfModel, track: AttributeTrack, scale: float = 1.0
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """The talking head, frame by frame, seen by the film's own camera; one frame is in memory at a time.

    Args:
        model: a trained model; shows `track` from then on.
        track: what the head does.
        scale: size of the pictures, as a multiple of the film's.

    Raises:
        UserError: if the track's features are not those the model was trained on.
    """
    model.set_track(track)
    model.eval()
    cameras = film_cameras(model, track, scale).to(model.device)
    for index in range(len(track)):
        picture = model.get_outputs_for_camera(cameras[index : index + 1])["rgb"]
        yield (picture.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
