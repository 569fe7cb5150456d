"""Selecting one person's face among several: by position in consecutive frames, by appearance after a loss or a cut."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

DESCRIPTOR_SIDE, PATCH_SIDE = 24, 96
"""Side of the image that describes a face, and of the aligned patch that it is downsampled from, in pixels."""
ANCHOR_LANDMARKS = [33, 263, 61, 291]
"""mediapipe's outer eye corners and mouth corners, by which the patch is aligned."""
ANCHOR_POSITIONS = np.array([[0.2, 0.3], [0.8, 0.3], [0.32, 0.78], [0.68, 0.78]], np.float32)
"""Position of the anchor landmarks in the patch, in patch sides."""
MAX_START_DISTANCE = 1.5
"""Maximum distance of the first face from the expected position, in heights of the face."""
MAX_STEP = 0.25
"""Maximum motion from one frame to the next of a face that is tracked without a loss, in heights of the face."""
MAX_NEAR_DISTANCE = 0.5
"""Maximum distance from its last position at which a lost face counts as near, in heights of the face."""
MIN_NEAR_SIMILARITY, MIN_FAR_SIMILARITY = 0.6, 0.8
"""Correlation of descriptors above which a lost face is found again near its last position, and anywhere. In front
view, descriptors of one person mostly correlate by 0.85 and more, those of two persons rarely by 0.8."""


class FaceFollower:
    """Selects the same person's face in every frame."""

    def __init__(self) -> None:
        self.expected_centre = np.array([0.5, 0.5])
        """Expected centre of the person's face at the start, in image sides."""
        self._descriptor_sum = np.zeros((DESCRIPTOR_SIDE, DESCRIPTOR_SIDE), np.float32)
        self._last: np.ndarray | None = None
        self._lost = False

    def choose(
        self, faces: Sequence[Float32[np.ndarray, "478 3"]], image: UInt8[np.ndarray, "S S 3"], after_cut: bool = False
    ) -> int | None:
        """The index of the person's face among the `faces` of the next frame; None if the face is not among them.

        Args:
            faces: landmarks in image sides.
            image: the frame.
            after_cut: whether the frame is the first one after a cut.
        """
        chosen = self._choose(faces, image, self._lost or after_cut)
        self._lost = chosen is None
        if chosen is not None:
            self._last = faces[chosen]
            self._descriptor_sum += descriptor(image, faces[chosen])
        return chosen

    def _choose(self, faces: Sequence[np.ndarray], image: np.ndarray, by_appearance: bool) -> int | None:
        if not faces:
            return None
        if self._last is None:
            distance = np.array([_distance(face, self.expected_centre) / _height(face) for face in faces])
            return int(distance.argmin()) if distance.min() < MAX_START_DISTANCE else None
        height, centre = _height(self._last), self._last[:, :2].mean(0)
        distance = np.array([_distance(face, centre) / height for face in faces])
        nearest = int(distance.argmin())
        if not by_appearance and distance[nearest] < MAX_STEP:
            return nearest
        known = self._descriptor_sum / max(float(np.linalg.norm(self._descriptor_sum)), 1e-6)
        similarity = np.array([np.vdot(descriptor(image, face), known) for face in faces])
        is_near = distance < MAX_NEAR_DISTANCE
        accepted = (similarity > MIN_FAR_SIMILARITY) | ((similarity > MIN_NEAR_SIMILARITY) & is_near)
        return int(np.where(accepted, similarity, -1).argmax()) if accepted.any() else None


def descriptor(image: UInt8[np.ndarray, "S S 3"], face: Float32[np.ndarray, "478 3"]) -> Float32[np.ndarray, "P P"]:
    """A small grey image of a face, aligned by its eyes and mouth; mean 0, norm 1."""
    height, width = image.shape[:2]
    anchors = face[ANCHOR_LANDMARKS, :2] * [width, height]
    matrix = np.linalg.lstsq(np.c_[anchors, np.ones(4)], ANCHOR_POSITIONS * PATCH_SIDE, rcond=None)[0].T
    patch = cv2.cvtColor(cv2.warpAffine(image, matrix, (PATCH_SIDE, PATCH_SIDE)), cv2.COLOR_RGB2GRAY)
    size = DESCRIPTOR_SIDE, DESCRIPTOR_SIDE
    patch = cv2.resize(patch, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    patch -= patch.mean()
    return patch / max(float(np.linalg.norm(patch)), 1e-6)


def is_distinct(face: Float32[np.ndarray, "478 3"], other: Float32[np.ndarray, "478 3"]) -> bool:
    """Whether two detections are two faces, not one face detected twice or within the other."""
    return _distance(face, other[:, :2].mean(0)) >= MAX_NEAR_DISTANCE * max(_height(face), _height(other))


def _height(face: np.ndarray) -> float:
    return float(np.ptp(face[:, 1]))


def _distance(face: np.ndarray, position: np.ndarray) -> float:
    """Distance of the face's centre from a position, in image sides."""
    return float(np.linalg.norm(face[:, :2].mean(0) - position))
