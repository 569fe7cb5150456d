"""Renders the frames of an attribute track from the source video's camera."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from jaxtyping import UInt8
from nerfstudio.cameras.cameras import Cameras, CameraType
from torch import Tensor

from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.finite_check import require_finite
from dfa_nerfstudio.data.renderer import Renderer
from dfa_nerfstudio.talk.ordered_parallel_map import ordered_parallel_map


def source_cameras(model: Renderer, track: AttributeTrack, scale: float = 1.0) -> Cameras:
    """Returns the source video's camera in head space for each frame of a track.

    Args:
        model: decides the intrinsics.
        track: T frames; their head poses decide the extrinsics.
        scale: image size as a multiple of the source video's.

    Returns:
        T cameras.
    """
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


def frame_size(model: Renderer, scale: float = 1.0) -> tuple[int, int]:
    """Returns the width and height of rendered frames in pixels, for `scale` times the source video's size."""
    cameras = source_cameras(model, model.clip.track[:1], scale)
    return int(cameras.width[0]), int(cameras.height[0])


@torch.no_grad()
def render_frame(model: Renderer, frame: AttributeTrack, scale: float = 1.0) -> dict[str, Tensor]:
    """Renders one frame of a track from the source video's camera; the model keeps its own track.

    Args:
        model: a trained renderer in evaluation mode.
        frame: a track of one frame.
        scale: image size as a multiple of the source video's.

    Returns:
        the outputs of `Renderer.get_outputs_for_camera`.

    Raises:
        UserError: if the track's features are not of the kind that the model was trained on, or a colour is not finite,
            which would be a black pixel.
    """
    outputs = model.with_track(frame).get_outputs_for_camera(source_cameras(model, frame, scale).to(model.device))
    require_finite({"rgb": outputs["rgb"]}, "rendered frame", "use an earlier checkpoint or train again")
    return outputs


def render_track(model: Renderer, track: AttributeTrack, scale: float = 1.0) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Renders the frames of a track in front of the source video's background; see `render_frame`."""
    model.eval()

    def render_image(number: int) -> UInt8[np.ndarray, "H W 3"]:
        outputs = render_frame(model, track[number : number + 1], scale)
        return (outputs["rgb"].clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()

    yield from ordered_parallel_map(render_image, range(len(track)), model.device)


def resample_frame_rate(tracks: Iterable[AttributeTrack], fps: float) -> Iterator[AttributeTrack]:
    """Resamples a chunked track to another frame rate by interpolation in time.

    Args:
        tracks: consecutive chunks of one track, each of any length.
        fps: frames per second of the result.

    Yields:
        consecutive chunks of the resampled track, as soon as they can be interpolated. Their total duration is the
        input's, to the nearest frame; the last input frame is held until its end.
    """
    pending: AttributeTrack | None = None
    first = num_yielded = 0  # input frame number of pending[0]; output frames so far
    for track in tracks:
        if track.fps == fps:
            yield track
            continue
        pending = track if pending is None else AttributeTrack.join([pending, track])
        num_received, step = first + len(pending), track.fps / fps
        count = math.ceil((num_received - 2) / step) - num_yielded  # interpolation needs two frames on each side
        if count > 0:
            yield _interpolate(pending, (num_yielded + torch.arange(count)) * step - first, fps)
            num_yielded += count
        drop = max(min(int(num_yielded * step), num_received) - 1 - first, 0)
        pending, first = pending[drop:], first + drop
    if pending is not None:
        rest = round((first + len(pending)) * fps / pending.fps) - num_yielded  # the last frame has a duration too
        if rest > 0:
            yield _interpolate(pending, (num_yielded + torch.arange(rest)) * pending.fps / fps - first, fps)


def _interpolate(track: AttributeTrack, frames: Tensor, fps: float) -> AttributeTrack:
    """Interpolates a track at fractional frame numbers, and labels the result with `fps`."""
    resampled = track.at(frames.double().clamp(max=len(track) - 1) / max(len(track) - 1, 1))
    resampled.fps = fps
    return resampled
