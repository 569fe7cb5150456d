"""Composites the rendered portrait into the frames of the video that it was cropped from."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8
from scipy.ndimage import minimum_filter1d, uniform_filter1d

from dfa_nerfstudio.data.dataset_folder import REPORT_FILE, DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.media.timeline import true_spans
from dfa_nerfstudio.media.video_reader import Video, to_rgb
from dfa_nerfstudio.talk.lower_face_mask import lower_face_opacity, lower_face_points
from dfa_nerfstudio.talk.talk_config import PasteRegion

FADE = 3
"""Half the number of frames over which the portrait appears and disappears next to an invalid frame."""
BORDER = 0.08
"""Width of the border over which the portrait fades into the frame, as a fraction of the portrait's side."""


class PortraitCompositor:
    """Composites portraits into a video's frames, which are played forwards and backwards in turn.

    Invalid frames, in which the face was lost or covered, stay as they are.

    Decoded frames are cached as JPEG, so that they can be played backwards. Memory grows with the source video, not
    with the output.

    Args:
        video: the video that was given to dfa-process.
        folder: the dataset folder made from it.
        frames: frame numbers in the dataset, at 25 frames/s, in playing order.
        frame_rate: frames per second that are read from the video.
        region: what replaces the source's pixels: the whole portrait, or its lower face alone.

    Raises:
        UserError: if it is another video, or its camera moved.
    """

    def __init__(
        self, video: Path, folder: Path, frames: list[int], frame_rate: float, region: PasteRegion = "portrait"
    ) -> None:
        try:
            report = json.loads((folder / REPORT_FILE).read_text())
            (self.left, self.top, self.side), first = report["crop"], round(report["start"] * frame_rate)
            camera_moved, source = report["camera_moved"], report["source"]
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(
                f"{folder / REPORT_FILE}: has no crop rectangle of the portrait; run dfa-process again"
            ) from None
        if camera_moved:
            raise UserError(
                f"{video}: its camera moved and dfa-process stabilised it, so the portrait fits none of its frames and "
                "cannot be pasted"
            )
        self._video, self._frames, self._frame_rate = video, np.array(frames, np.float64), frame_rate
        self._decoded = islice(Video(video, frame_rate).frames(), first, None)
        self._jpegs: list[UInt8[np.ndarray, " bytes"]] = []
        frame = self._source_frame(0)
        self.size = frame.shape[1], frame.shape[0]
        if video.name != source or min(self.size) < self.side:
            raise UserError(f"{video}: the portrait was cropped from {source}; give that video")
        self._opacity = self._portrait_opacity(*self.size)
        dataset = DatasetFolder.open(folder)
        valid = (dataset.attributes.shot >= 0)[frames]
        margin = minimum_filter1d(valid.astype(np.float32), 2 * FADE + 1, mode="nearest")
        # rounded, because the filter's zeros are inexact
        self._presence = uniform_filter1d(margin, 2 * FADE + 1, mode="nearest").round(6)
        """Factor in [0, 1] of the portrait's opacity in each of `frames`: 0 in invalid ones, less than 1 near them."""
        self._lower_face: Float[np.ndarray, "T L 2"] | None = None
        """Landmarks of the lower face in each frame of the dataset, in pixels of the portrait in the video."""
        if region == "lower-face":
            points = lower_face_points(dataset.attributes.landmarks)
            self._lower_face = points * (self.side / max(dataset.size))

    def composite(self, portrait: UInt8[np.ndarray, "S S 3"], seconds: float) -> UInt8[np.ndarray, "H W 3"]:
        """Returns the source frame for a time of the output, with the portrait composited."""
        frame = self.source_frame_at(seconds)
        rows, columns = slice(self.top, self.top + self.side), slice(self.left, self.left + self.side)
        interpolation = cv2.INTER_AREA if self.side < len(portrait) else cv2.INTER_CUBIC
        resized = cv2.resize(portrait, (self.side, self.side), interpolation=interpolation).astype(np.float32)
        blended = frame[rows, columns] + self.opacity_at(seconds) * (resized - frame[rows, columns])
        frame[rows, columns] = blended.round().clip(0, 255).astype(np.uint8)
        return frame

    def source_frame_at(self, seconds: float) -> UInt8[np.ndarray, "H W 3"]:
        """Returns the source frame for a time of the output."""
        return self._source_frame(round(float(self._at(seconds, self._frames)) / FRAME_RATE * self._frame_rate))

    def unchanged_spans(self, duration: float) -> list[tuple[float, float]]:
        """Returns start and end in seconds of each part of an output in which the source's frames stay as they are."""
        times = np.arange(0, duration, 1 / self._frame_rate)
        return true_spans(self._at(times, self._presence) == 0, self._frame_rate)

    def _at(self, seconds: float | Float[np.ndarray, " T"], values: Float[np.ndarray, " N"]) -> Float[np.ndarray, "*T"]:
        """Returns the values at times of the output; `values` has one for each of the frames that are played."""
        last = len(self._frames) - 1
        position = np.asarray(seconds) * FRAME_RATE % max(2 * last, 1)
        return np.interp(np.minimum(position, 2 * last - position), np.arange(len(values)), values)

    def opacity_at(self, seconds: float) -> Float32[np.ndarray, "S S 1"]:
        """Returns the portrait's opacity in [0, 1] for a time of the output."""
        opacity = self._opacity * np.float32(self._at(seconds, self._presence))
        if self._lower_face is None:
            return opacity
        number = float(self._at(seconds, self._frames))
        first = int(number)
        second = min(first + 1, len(self._lower_face) - 1)
        points = self._lower_face[first] + (number - first) * (self._lower_face[second] - self._lower_face[first])
        return opacity * lower_face_opacity(points, self.side, self.side)

    def _portrait_opacity(self, width: int, height: int) -> Float32[np.ndarray, "S S 1"]:
        """Returns the portrait's opacity in [0, 1].

        It falls towards each border by a smoothstep, except where the border is the frame's own.
        """
        fade = max(BORDER * self.side, 1.0)
        positions = np.arange(self.side) + 0.5
        rows = columns = np.full(self.side, np.inf)  # distances to the nearest border in pixels
        rows = rows if self.top == 0 else np.minimum(rows, positions)
        rows = rows if self.top + self.side >= height else np.minimum(rows, positions[::-1])
        columns = columns if self.left == 0 else np.minimum(columns, positions)
        columns = columns if self.left + self.side >= width else np.minimum(columns, positions[::-1])
        ramp = (np.minimum(rows[:, None], columns) / fade).clip(0, 1)
        return (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)[..., None]

    def _source_frame(self, number: int) -> UInt8[np.ndarray, "H W 3"]:
        """Returns a frame of the source video, after decoding all frames up to it.

        Raises:
            UserError: if the video is shorter.
        """
        while len(self._jpegs) <= number:
            frame = next(self._decoded, None)
            if frame is None:
                raise UserError(
                    f"{self._video}: has {len(self._jpegs)} frames, but {number + 1} are needed; give the video that "
                    "dfa-process was run on"
                )
            image = cv2.cvtColor(to_rgb(frame), cv2.COLOR_RGB2BGR)
            self._jpegs.append(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1])
        return cv2.cvtColor(cv2.imdecode(self._jpegs[number], cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
