"""Detects faces in sampled frames, and places one square crop around head and shoulders for the whole clip."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from mediapipe.python.solutions import face_detection

from dfa_nerfstudio.face.log_suppression import suppress_native_stderr

if TYPE_CHECKING:
    from dfa_nerfstudio.preprocessing.camera.camera_motion import CameraMotion

CROP_TO_FACE = 3.2
"""Side of the crop in heights of the detector's face box, which reaches from the brows to the chin."""
FACE_CENTRE_Y = 0.48
"""Vertical position of the face box's centre in the crop, in sides from the top."""
MAX_FACE_DISTANCE = 1.5
"""Distance, in heights of the face box, within which two detections belong to the same person."""


class SquareCrop(NamedTuple):
    """Square of the source frame, in pixels."""

    left: int
    top: int
    side: int

    def apply(self, image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "S S 3"]:
        """Returns the part of `image` in the square (a view)."""
        return image[self.top : self.top + self.side, self.left : self.left + self.side]


@dataclass
class FaceDetections:
    """Faces in frames that are sampled from a video."""

    numbers: list[int] = field(default_factory=list)
    """Numbers of the sampled frames."""
    boxes: list[Float[np.ndarray, "F 4"]] = field(default_factory=list)
    """Box of each face per sampled frame: centre x, centre y, width, height in pixels; the largest face first."""

    def __post_init__(self) -> None:
        with suppress_native_stderr():
            self._detector = face_detection.FaceDetection(model_selection=1, min_detection_confidence=0.5)
            self._detector.process(np.zeros((128, 128, 3), np.uint8))

    def add(self, number: int, image: UInt8[np.ndarray, "H W 3"]) -> None:
        """Detects the faces of frame `number`."""
        height, width = image.shape[:2]
        scale = min(1.0, 960 / max(height, width))
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        boxes = []
        result: Any = self._detector.process(small)  # a named tuple whose fields mediapipe does not declare
        for detection in result.detections or []:
            box = detection.location_data.relative_bounding_box
            boxes.append(
                (
                    (box.xmin + box.width / 2) * width,
                    (box.ymin + box.height / 2) * height,
                    box.width * width,
                    box.height * height,
                )
            )
        self.numbers.append(number)
        self.boxes.append(np.array(sorted(boxes, key=lambda box: -box[3])).reshape(-1, 4))

    def within(self, frames: range, camera: CameraMotion | None = None) -> list[Float[np.ndarray, "F 4"]]:
        """Returns the boxes of each sampled frame among `frames` that shows a face.

        Args:
            frames: frame numbers of the video.
            camera: if the camera moved, boxes are mapped to its reference frame; its frame 0 is the first of `frames`.
        """
        sampled = [pair for pair in zip(self.numbers, self.boxes, strict=True) if pair[0] in frames and len(pair[1])]
        if camera is None:
            return [boxes for _, boxes in sampled]
        return [camera.boxes_in_reference(number - frames.start, boxes) for number, boxes in sampled]


def main_face_boxes(faces: list[Float[np.ndarray, "F 4"]]) -> Float[np.ndarray, "N 4"]:
    """Returns the boxes of the main person: the one with the largest total face height over all frames.

    Args:
        faces: boxes of the faces in each frame, see `FaceDetections.boxes`.

    Returns:
        one box per frame that shows the person.
    """
    if not faces:
        return np.zeros((0, 4))
    all_boxes = np.concatenate(faces)  # [M, 4]

    def boxes_near(box: Float[np.ndarray, " 4"]) -> Float[np.ndarray, "N 4"]:
        nearest = np.stack([boxes[np.hypot(*(boxes[:, :2] - box[:2]).T).argmin()] for boxes in faces])
        return nearest[np.hypot(*(nearest[:, :2] - box[:2]).T) < MAX_FACE_DISTANCE * box[3]]

    seed = max(all_boxes, key=lambda box: boxes_near(box)[:, 3].sum())
    return boxes_near(np.median(boxes_near(seed), axis=0))


def head_and_shoulders_crop(boxes: Float[np.ndarray, "N 4"], width: int, height: int) -> SquareCrop:
    """Returns a crop, inside the frame, that contains the moving face with its shoulders.

    If the frame is nearly square and mostly filled by that crop, it is a head-and-shoulders shot already, and the crop
    is the largest square of the frame.

    Args:
        boxes: boxes of one face, see `FaceDetections.boxes`; N >= 1.
        width: of the frame.
        height: of the frame.
    """
    x, y, _, face_height = np.median(boxes, axis=0)
    ranges = np.ptp(np.percentile(boxes[:, 0], [2, 98])), np.ptp(np.percentile(boxes[:, 1], [2, 98]))
    shorter = min(width, height)
    side = min(shorter, round(CROP_TO_FACE * face_height + max(ranges)))
    if max(width, height) <= 1.1 * shorter and side >= 0.6 * shorter:
        side = shorter
        left, top = (width - side) // 2, (height - side) // 2
    else:
        left, top = round(x - side / 2), round(y - FACE_CENTRE_Y * side)
    return SquareCrop(int(np.clip(left, 0, width - side)), int(np.clip(top, 0, height - side)), side)
