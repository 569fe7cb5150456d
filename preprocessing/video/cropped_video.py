"""The part of a video that becomes a dataset: a range of frames and a crop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import UInt8

from dfa_nerfstudio.media.video_reader import Video, to_rgb
from dfa_nerfstudio.preprocessing.camera.camera_motion import CameraMotion
from dfa_nerfstudio.preprocessing.video.crop import SquareCrop


@dataclass
class CroppedVideo:
    """Cropped, and if necessary stabilized, frames of a video."""

    video: Video
    crop: SquareCrop
    num_frames: int
    first_frame: int = 0
    """Frame of the video, at 25 frames/s, that is frame 0 of the dataset."""
    camera: CameraMotion | None = None
    """Motion of the camera, which is removed; None for a static camera."""

    def __len__(self) -> int:
        return self.num_frames

    def images(self) -> Iterator[UInt8[np.ndarray, "S S 3"]]:
        """Yields the crops of all frames in order, at the source's resolution (views: copy what is kept)."""
        frames = islice(self.video.frames(), self.first_frame, self.first_frame + self.num_frames)
        for number, frame in enumerate(frames):
            image = to_rgb(frame)
            yield self.camera.warp(number, image, self.crop) if self.camera else self.crop.apply(image)
