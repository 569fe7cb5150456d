"""mediapipe's refined face mesh, of one face followed through the clip."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from mediapipe.python.solutions import face_mesh

from dfa_nerfstudio.preprocessing.face_topology import NUM_LANDMARKS
from dfa_nerfstudio.preprocessing.quiet import native_stderr_silenced

MAX_FACES = 3


@dataclass
class LandmarkTracker:
    """Finds the 478 landmarks frame by frame. Of several faces the largest one is taken and then followed."""

    found: list[bool] = field(default_factory=list)
    """Per frame, whether the face was there."""
    landmarks: list[Float32[np.ndarray, "478 3"]] = field(default_factory=list)
    """Per frame x right, y down and z away from the viewer, in units of the image's side; NaN where it was lost."""
    frames_with_others: int = 0
    """Number of frames that show a further face."""

    def __post_init__(self) -> None:
        with native_stderr_silenced():
            self._mesh = face_mesh.FaceMesh(
                max_num_faces=MAX_FACES,
                refine_landmarks=True,
                min_detection_confidence=0.5,
                min_tracking_confidence=0.5,
            )
            self._mesh.process(np.zeros((128, 128, 3), np.uint8))
        self._last: np.ndarray | None = None

    def add(self, image: UInt8[np.ndarray, "S S 3"]) -> None:
        """Measures the next frame."""
        result: Any = self._mesh.process(image)  # a named tuple whose fields mediapipe does not declare
        faces = [
            np.array([(point.x, point.y, point.z) for point in face.landmark], np.float32)
            for face in result.multi_face_landmarks or []
        ]  # each [478, 3]
        chosen = self._choose(faces)
        self.frames_with_others += len(faces) > 1
        self.found.append(chosen is not None)
        self.landmarks.append(np.full((NUM_LANDMARKS, 3), np.nan, np.float32) if chosen is None else chosen)
        if chosen is not None:
            self._last = chosen

    def _choose(self, faces: list[np.ndarray]) -> np.ndarray | None:
        """The face nearest to the last one; none if the nearest is more than half a face away."""
        if self._last is None or not faces:
            return max(faces, key=_extent, default=None)
        last = self._last
        nearest = min(faces, key=lambda face: _distance(face, last))
        return nearest if _distance(nearest, last) < 0.5 * _extent(last) else None


def _extent(face: np.ndarray) -> float:
    return float(np.ptp(face[:, 1]))


def _distance(face: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm(face[:, :2].mean(0) - other[:, :2].mean(0)))


def interpolate_lost(
    values: Float32[np.ndarray, "T ..."], found: Bool[np.ndarray, " T"]
) -> Float32[np.ndarray, "T ..."]:
    """Fills rows that are not `found` linearly between their neighbours; before the first and after the last one the
    nearest is held. At least one row must be found."""
    rows = np.arange(len(values))
    known = rows[found]
    flat = values.reshape(len(values), -1)
    filled = np.stack([np.interp(rows, known, column) for column in flat[found].T], axis=1)
    return filled.reshape(values.shape).astype(values.dtype)
