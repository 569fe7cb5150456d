"""The portrait put back into the frames of the video that it was cut from."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.media.video_reader import Video, to_rgb

RIM = 0.08
"""Part of the portrait's side over which it goes over into the frame around it."""


class Paste:
    """Puts portraits into a video's frames, which run forth and back.

    Frames that have been decoded are kept as JPEG, so that they can run back; memory grows with the video, not with
    what is said.

    Args:
        video: the one that dfa-process was given.
        folder: the dataset folder that it made.
        frames: the numbers of the film's frames that are shown, in order.

    Raises:
        UserError: if it is another video, or its camera moved.
    """

    def __init__(self, video: Path, folder: Path, frames: list[int]) -> None:
        try:
            report = json.loads((folder / "report.json").read_text())
            (self.left, self.top, self.side), first = report["crop"], round(report["start"] * FRAME_RATE)
            moved, source = report["camera_moved"], report["source"]
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(
                f"{folder / 'report.json'}: does not say where the portrait was cut from; run dfa-process again"
            ) from None
        if moved:
            raise UserError(
                f"--paste {video}: its camera moved, which was taken back; the portrait fits no frame of it"
            )
        self._frames, self._source = frames, islice(Video(video).frames(), first, None)
        self._kept: list[UInt8[np.ndarray, " bytes"]] = []
        frame = self._frame(0)
        self.size = frame.shape[1], frame.shape[0]
        if video.name != source or min(self.size) < self.side:
            raise UserError(f"--paste {video}: the portrait was cut from {source}; give that video")
        self._share = self._softened(*self.size)

    def picture(self, portrait: UInt8[np.ndarray, "S S 3"], number: int) -> UInt8[np.ndarray, "H W 3"]:
        """The number-th frame to be shown, with a portrait in it."""
        period = max(1, 2 * (len(self._frames) - 1))
        place = min(number % period, period - number % period, len(self._frames) - 1)
        frame = self._frame(self._frames[place])
        rows, columns = slice(self.top, self.top + self.side), slice(self.left, self.left + self.side)
        way = cv2.INTER_AREA if self.side < len(portrait) else cv2.INTER_CUBIC
        fitting = cv2.resize(portrait, (self.side, self.side), interpolation=way).astype(np.float32)
        mixed = frame[rows, columns] + self._share * (fitting - frame[rows, columns])
        frame[rows, columns] = mixed.round().clip(0, 255).astype(np.uint8)
        return frame

    def _softened(self, width: int, height: int) -> Float32[np.ndarray, "S S 1"]:
        """How much of the portrait is seen: less towards its rim, where that is not the frame's own."""
        reach = max(RIM * self.side, 1.0)
        along = np.arange(self.side) + 0.5
        far = np.full(self.side, np.inf)
        rows, columns = far, far
        rows = rows if self.top == 0 else np.minimum(rows, along)
        rows = rows if self.top + self.side >= height else np.minimum(rows, along[::-1])
        columns = columns if self.left == 0 else np.minimum(columns, along)
        columns = columns if self.left + self.side >= width else np.minimum(columns, along[::-1])
        share = (np.minimum(rows[:, None], columns) / reach).clip(0, 1)
        return (share * share * (3 - 2 * share)).astype(np.float32)[..., None]

    def _frame(self, number: int) -> UInt8[np.ndarray, "H W 3"]:
        while len(self._kept) <= number:
            frame = next(self._source, None)
            if frame is None:
                raise UserError(f"--paste: the video has {len(self._kept)} frames, {number + 1} are needed")
            image = cv2.cvtColor(to_rgb(frame), cv2.COLOR_RGB2BGR)
            self._kept.append(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1])
        return cv2.cvtColor(cv2.imdecode(self._kept[number], cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
