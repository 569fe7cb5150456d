"""A square around head and shoulders, the same for the whole clip."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from mediapipe.python.solutions import face_detection

from dfa_nerfstudio.face.log_suppression import native_stderr_silenced

if TYPE_CHECKING:
    from dfa_nerfstudio.preprocessing.camera.camera_motion import Camera

FACE_TO_SIDE = 3.2
"""Side of the square in heights of the detector's face box, which reaches from the brows to the chin."""
FACE_FROM_TOP = 0.48
"""Where the middle of the face box lies in the square."""

REACH = 1.5
"""Within how many heights of a face box the same person moves."""


class Square(NamedTuple):
    """A square of the source frame in pixels."""

    left: int
    top: int
    side: int

    def cut(self, image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "S S 3"]:
        """The part of `image` in the square (a view)."""
        return image[self.top : self.top + self.side, self.left : self.left + self.side]


@dataclass
class FaceSurvey:
    """The faces in frames sampled over the clip."""

    numbers: list[int] = field(default_factory=list)
    """Of the sampled frames."""
    faces: list[Float[np.ndarray, "F 4"]] = field(default_factory=list)
    """Per sampled frame centre x, centre y, width and height of each face's box in pixels, the largest first."""

    def __post_init__(self) -> None:
        with native_stderr_silenced():
            self._detector = face_detection.FaceDetection(model_selection=1, min_detection_confidence=0.5)
            self._detector.process(np.zeros((128, 128, 3), np.uint8))

    def add(self, number: int, image: UInt8[np.ndarray, "H W 3"]) -> None:
        """Finds the faces of frame `number`."""
        height, width = image.shape[:2]
        scale = min(1.0, 960 / max(height, width))
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        boxes = []
        result: Any = self._detector.process(small)  # a named tuple whose fields mediapipe does not declare
        for found in result.detections or []:
            box = found.location_data.relative_bounding_box
            boxes.append(
                (
                    (box.xmin + box.width / 2) * width,
                    (box.ymin + box.height / 2) * height,
                    box.width * width,
                    box.height * height,
                )
            )
        self.numbers.append(number)
        self.faces.append(np.array(sorted(boxes, key=lambda box: -box[3])).reshape(-1, 4))

    def within(self, frames: range, camera: Camera | None = None) -> list[Float[np.ndarray, "F 4"]]:
        """The faces of the sampled frames among `frames`, without frames that show none.

        Args:
            frames: of the video.
            camera: if it moved, the boxes are given as they lie in its reference; its frame 0 is the first of `frames`.
        """
        sampled = [pair for pair in zip(self.numbers, self.faces, strict=True) if pair[0] in frames and len(pair[1])]
        if camera is None:
            return [faces for _, faces in sampled]
        return [camera.in_reference(number - frames.start, faces) for number, faces in sampled]


def main_person(faces: list[Float[np.ndarray, "F 4"]]) -> Float[np.ndarray, "N 4"]:
    """One person's box of each frame that shows them: of the person whose face is large for long.

    Args:
        faces: per frame the boxes of its faces, see `FaceSurvey.faces`.
    """
    if not faces:
        return np.zeros((0, 4))
    everyone = np.concatenate(faces)  # [M, 4]

    def near(face: Float[np.ndarray, " 4"]) -> Float[np.ndarray, "N 4"]:
        nearest = np.stack([boxes[np.hypot(*(boxes[:, :2] - face[:2]).T).argmin()] for boxes in faces])
        return nearest[np.hypot(*(nearest[:, :2] - face[:2]).T) < REACH * face[3]]

    seed = max(everyone, key=lambda face: near(face)[:, 3].sum())
    return near(np.median(near(seed), axis=0))


def head_and_shoulders(boxes: Float[np.ndarray, "N 4"], width: int, height: int) -> Square:
    """The square in which the face of `boxes` stays with its shoulders. It never leaves the frame.

    A frame that is about square and of which the face fills a good part is a head-and-shoulders shot already and stays
    as large as it is.

    Args:
        boxes: see `FaceSurvey.faces`, one face, N >= 1.
        width: of the frame.
        height: of the frame.
    """
    x, y, _, face = np.median(boxes, axis=0)
    sway = np.ptp(np.percentile(boxes[:, 0], [2, 98])), np.ptp(np.percentile(boxes[:, 1], [2, 98]))
    shorter = min(width, height)
    side = min(shorter, round(FACE_TO_SIDE * face + max(sway)))
    if max(width, height) <= 1.1 * shorter and side >= 0.6 * shorter:
        side = shorter
        left, top = (width - side) // 2, (height - side) // 2
    else:
        left, top = round(x - side / 2), round(y - FACE_FROM_TOP * side)
    return Square(int(np.clip(left, 0, width - side)), int(np.clip(top, 0, height - side)), side)
