"""From an attribute track to pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from jaxtyping import UInt8
from nerfstudio.cameras.cameras import Cameras, CameraType
from torch import Tensor

from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.renderer import Renderer
from dfa_nerfstudio.talk.ordered_parallel_map import side_by_side


def film_cameras(model: Renderer, track: AttributeTrack, scale: float = 1.0) -> Cameras:
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


def picture_size(model: Renderer, scale: float = 1.0) -> tuple[int, int]:
    """Width and height of the pictures."""
    cameras = film_cameras(model, model.clip.track[:1], scale)
    return int(cameras.width[0]), int(cameras.height[0])


@torch.no_grad()
def render_frame(model: Renderer, frame: AttributeTrack, scale: float = 1.0) -> dict[str, Tensor]:
    """What a model shows in one frame, seen by the film's own camera. The model goes on showing its own track.

    Args:
        model: a trained model, evaluated.
        frame: what the head does, a track of one frame.
        scale: size of the picture, as a multiple of the film's.

    Raises:
        UserError: if the track's features are not those the model was trained on.
    """
    return model.with_track(frame).get_outputs_for_camera(film_cameras(model, frame, scale).to(model.device))


def render_track(model: Renderer, track: AttributeTrack, scale: float = 1.0) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """The talking head before the film's own background, frame by frame; see `render_frame`."""
    model.eval()

    def picture(number: int) -> UInt8[np.ndarray, "H W 3"]:
        outputs = render_frame(model, track[number : number + 1], scale)
        return (outputs["rgb"].clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()

    yield from side_by_side(picture, range(len(track)), model.device)


def paced(tracks: Iterable[AttributeTrack], fps: float) -> Iterator[AttributeTrack]:
    """A track that comes piece by piece at another frame rate: interpolated in time, as long as it was to a frame."""
    held: AttributeTrack | None = None
    first = made = 0  # number of the first frame that is held; frames that are out
    for track in tracks:
        if track.fps == fps:
            yield track
            continue
        held = track if held is None else AttributeTrack.join([held, track])
        known = first + len(held)
        count = int((known - 1) * fps / track.fps) + 1 - made  # the last frame known is the last to look back from
        if count > 0:
            yield _at(held, (made + torch.arange(count)) * track.fps / fps - first, fps)
            made += count
        drop = max(min(int(made * track.fps / fps), known - 1) - first, 0)
        held, first = held[drop:], first + drop
    if held is not None:
        rest = round((first + len(held)) * fps / held.fps) - made  # the last frame is shown for as long as any
        if rest > 0:
            yield _at(held, (made + torch.arange(rest)) * held.fps / fps - first, fps)


def _at(track: AttributeTrack, frames: Tensor, fps: float) -> AttributeTrack:
    shown = track.at(frames.double().clamp(max=len(track) - 1) / max(len(track) - 1, 1))
    shown.fps = fps
    return shown
