"""Which of several faces is the person's."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

PATCH, FINE = 24, 96
"""Side of the picture by which faces are told apart, and of the one it is made from."""
CORNERS = [33, 263, 61, 291]
"""mediapipe's outer eye corners and mouth corners."""
PLACES = np.array([[0.2, 0.3], [0.8, 0.3], [0.32, 0.78], [0.68, 0.78]], np.float32)
"""Where they lie in the picture."""
AT_START = 1.5
"""At first the person's face lies within so many of its heights of where it usually is."""
STEP = 0.25
"""A face that is there in every frame moves by less than so many of its heights from one to the next."""
NEAR, ALIKE, FAR_ALIKE = 0.5, 0.6, 0.8
"""A face that was lost is taken up again within so many of its heights where it was if its picture correlates so much
with the person's, and anywhere if so much. One person's pictures mostly correlate by 0.85 and more from the front, two
persons' hardly by 0.8."""


class FaceFollower:
    """Follows one person: by place while the face is there in every frame, by its looks after a loss or a cut."""

    def __init__(self) -> None:
        self.place = np.array([0.5, 0.5])
        """About where the person's face is at the start, in image sides."""
        self._looks = np.zeros((PATCH, PATCH), np.float32)
        self._last: np.ndarray | None = None
        self._lost = False

    def choose(
        self, faces: Sequence[Float32[np.ndarray, "478 3"]], image: UInt8[np.ndarray, "S S 3"], after_cut: bool = False
    ) -> int | None:
        """The number of the person's face among the `faces` of the next frame; None if it is not there.

        Args:
            faces: landmarks in image sides.
            image: the frame.
            after_cut: whether it follows a cut.
        """
        chosen = self._among(faces, image, self._lost or after_cut)
        self._lost = chosen is None
        if chosen is not None:
            self._last = faces[chosen]
            self._looks += looks(image, faces[chosen])
        return chosen

    def _among(self, faces: Sequence[np.ndarray], image: np.ndarray, anew: bool) -> int | None:
        if not faces:
            return None
        if self._last is None:
            away = np.array([_distance(face, self.place) / _height(face) for face in faces])
            return int(away.argmin()) if away.min() < AT_START else None
        height, middle = _height(self._last), self._last[:, :2].mean(0)
        away = np.array([_distance(face, middle) / height for face in faces])
        nearest = int(away.argmin())
        if not anew and away[nearest] < STEP:
            return nearest
        known = self._looks / max(float(np.linalg.norm(self._looks)), 1e-6)
        alike = np.array([np.vdot(looks(image, face), known) for face in faces])
        acceptable = (alike > FAR_ALIKE) | ((alike > ALIKE) & (away < NEAR))
        return int(np.where(acceptable, alike, -1).argmax()) if acceptable.any() else None


def looks(image: UInt8[np.ndarray, "S S 3"], face: Float32[np.ndarray, "478 3"]) -> Float32[np.ndarray, "P P"]:
    """A small grey picture of a face, put straight by its eyes and mouth; mean 0, norm 1."""
    height, width = image.shape[:2]
    seen = face[CORNERS, :2] * [width, height]
    matrix = np.linalg.lstsq(np.c_[seen, np.ones(4)], PLACES * FINE, rcond=None)[0].T
    patch = cv2.cvtColor(cv2.warpAffine(image, matrix, (FINE, FINE)), cv2.COLOR_RGB2GRAY)
    patch = cv2.resize(patch, (PATCH, PATCH), interpolation=cv2.INTER_AREA).astype(np.float32)
    patch -= patch.mean()
    return patch / max(float(np.linalg.norm(patch)), 1e-6)


def apart(face: Float32[np.ndarray, "478 3"], other: Float32[np.ndarray, "478 3"]) -> bool:
    """Whether these are two faces, not one that was found twice or within the other."""
    return _distance(face, other[:, :2].mean(0)) >= NEAR * max(_height(face), _height(other))


def _height(face: np.ndarray) -> float:
    return float(np.ptp(face[:, 1]))


def _distance(face: np.ndarray, place: np.ndarray) -> float:
    return float(np.linalg.norm(face[:, :2].mean(0) - place))
