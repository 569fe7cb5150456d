"""The part of a video that becomes a dataset: which of its frames, and which square of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import UInt8

from dfa_nerfstudio.media.video_reader import Video, to_rgb
from dfa_nerfstudio.preprocessing.camera.camera_motion import Camera
from dfa_nerfstudio.preprocessing.video.crop import Square


@dataclass
class Footage:
    """What every pass over the frames reads."""

    video: Video
    square: Square
    count: int
    """Number of frames."""
    first: int = 0
    """The frame of the video, at 25 frames/s, that is frame 0 of the dataset."""
    camera: Camera | None = None
    """How the camera moves, if it does: it is then taken back."""

    def __len__(self) -> int:
        return self.count

    def images(self) -> Iterator[UInt8[np.ndarray, "S S 3"]]:
        """The squares of all frames, one after the other, at the source's resolution (views: copy what is kept)."""
        for number, frame in enumerate(islice(self.video.frames(), self.first, self.first + self.count)):
            image = to_rgb(frame)
            yield self.camera.warp(number, image, self.square) if self.camera else self.square.cut(image)
