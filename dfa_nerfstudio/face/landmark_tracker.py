"""Tracking mediapipe's 478 landmarks of one face through a clip, by one of its two trackers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from mediapipe import Image, ImageFormat
from mediapipe.python.solutions import face_mesh
from mediapipe.tasks.python import BaseOptions, vision

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.face.face_follower import FaceFollower, is_distinct
from dfa_nerfstudio.face.log_suppression import suppress_native_stderr
from dfa_nerfstudio.media.chunks import chunk_slices
from dfa_nerfstudio.media.frame_rows import FrameRows
from dfa_nerfstudio.media.rates import FRAME_RATE

MAX_FACES = 3
"""Maximum number of faces that are detected per frame."""
NUM_BLENDSHAPES = 52
"""Number of mediapipe's blendshapes."""


class DetectedFace(NamedTuple):
    """One face in one frame."""

    landmarks: Float32[np.ndarray, "478 3"]
    """Landmarks in image sides: x right, y down and z away from the viewer."""
    blendshapes: Float32[np.ndarray, " B"]
    """mediapipe's blendshape scores, 0 to 1, in its order."""


class LandmarkTracker(ABC):
    """Finds the landmarks of one person's face frame by frame; the `follower` selects it among several faces."""

    num_blendshapes = 0
    """B, the number of blendshape scores per face; 0 for a tracker that measures none."""

    def __init__(self) -> None:
        self.num_frames_with_others = 0
        """Number of frames that show another face."""
        self.follower = FaceFollower()
        with suppress_native_stderr():
            self._start()
            self._detect(np.zeros((128, 128, 3), np.uint8))

    @classmethod
    def create(cls, face_landmarker: Path | None, single_face: bool = False) -> LandmarkTracker:
        """The tracker of a model file of mediapipe's Tasks, or the one that mediapipe ships with.

        Args:
            face_landmarker: the model file, if any.
            single_face: whether only one person is expected, so that no frame is searched for other faces.

        Raises:
            UserError: if the model file is missing or invalid.
        """
        if face_landmarker is None:
            return FaceMeshTracker(1 if single_face else MAX_FACES)
        return FaceLandmarkerTracker(face_landmarker)

    def track(self, image: UInt8[np.ndarray, "S S 3"], after_cut: bool = False) -> DetectedFace | None:
        """The person's face in the next frame; None where it is lost.

        Args:
            image: the frame.
            after_cut: whether the frame is the first one after a cut.
        """
        faces = self._detect(image)
        chosen = self.follower.choose([face.landmarks for face in faces], image, after_cut)
        if chosen is None:
            self.num_frames_with_others += len(faces) > 0
            if faces:
                self._reset()
            return None
        face = faces[chosen]
        self.num_frames_with_others += any(is_distinct(other.landmarks, face.landmarks) for other in faces)
        return face

    @abstractmethod
    def _start(self) -> None:
        """Loads the networks."""

    def _reset(self) -> None:  # noqa: B027, most trackers need not
        """Makes the next detection independent of the faces' last positions."""

    @abstractmethod
    def _detect(self, image: UInt8[np.ndarray, "S S 3"]) -> list[DetectedFace]:
        """All faces in the next frame."""


class FaceMeshTracker(LandmarkTracker):
    """The refined face mesh, whose networks mediapipe ships with.

    Args:
        max_faces: maximum number of faces to detect. While fewer are found, every frame is searched for more.
    """

    def __init__(self, max_faces: int = MAX_FACES) -> None:
        self._max_faces = max_faces
        super().__init__()

    def _reset(self) -> None:
        if self._max_faces == 1:  # otherwise it would keep tracking the other person's face
            self._mesh.reset()

    def _start(self) -> None:
        self._mesh = face_mesh.FaceMesh(
            max_num_faces=self._max_faces,
            refine_landmarks=True,
            min_detection_confidence=0.5,
            min_tracking_confidence=0.5,
        )

    def _detect(self, image: UInt8[np.ndarray, "S S 3"]) -> list[DetectedFace]:
        result: Any = self._mesh.process(image)  # a named tuple whose fields mediapipe does not declare
        faces = result.multi_face_landmarks or []
        return [DetectedFace(_to_array(face.landmark), np.zeros(0, np.float32)) for face in faces]


class FaceLandmarkerTracker(LandmarkTracker):
    """mediapipe's Tasks with a `face_landmarker.task` file of the user; measures blendshapes too.

    Args:
        model: the model file.

    Raises:
        UserError: if the model file is missing or invalid.
    """

    num_blendshapes = NUM_BLENDSHAPES

    def __init__(self, model: Path) -> None:
        self._model, self._num_frames = model, 0
        super().__init__()

    def _start(self) -> None:
        try:
            options = vision.FaceLandmarkerOptions(
                base_options=BaseOptions(model_asset_buffer=self._model.read_bytes()),
                running_mode=vision.RunningMode.VIDEO,
                num_faces=MAX_FACES,
                output_face_blendshapes=True,
            )
            self._landmarker = vision.FaceLandmarker.create_from_options(options)
        except OSError as error:
            raise UserError(
                f"{self._model}: cannot be read ({error.strerror}); give `face_landmarker` mediapipe's "
                "face_landmarker.task, or leave the option out"
            ) from None
        except (RuntimeError, ValueError) as error:
            raise UserError(
                f"{self._model}: not a face landmarker that mediapipe can load ({error}); give `face_landmarker` "
                "mediapipe's face_landmarker.task, with blendshapes"
            ) from None

    def _detect(self, image: UInt8[np.ndarray, "S S 3"]) -> list[DetectedFace]:
        milliseconds = round(self._num_frames * 1000 / FRAME_RATE)
        self._num_frames += 1
        mediapipe_image = Image(image_format=ImageFormat.SRGB, data=np.ascontiguousarray(image))
        result = self._landmarker.detect_for_video(mediapipe_image, milliseconds)
        return [
            DetectedFace(_to_array(landmarks), np.array([score.score for score in scores], np.float32))
            for landmarks, scores in zip(result.face_landmarks, result.face_blendshapes, strict=True)
        ]


def _to_array(landmarks: Any) -> Float32[np.ndarray, "478 3"]:
    return np.array([(point.x, point.y, point.z) for point in landmarks], np.float32)


def interpolate_lost(
    values: Float32[np.ndarray, "T ..."] | FrameRows, found: Bool[np.ndarray, " T"], part: slice = slice(None)
) -> None:
    """Replaces rows that were not found by linear interpolation between their neighbours, in place.

    Rows before the first and after the last found row are copies of it.

    Args:
        values: one row per frame.
        found: whether each row is measured; at least one of the part must be.
        part: rows that are used and replaced, by default all.
    """
    start = part.indices(len(found))[0]
    known, lost = start + np.flatnonzero(found[part]), start + np.flatnonzero(~found[part])
    for rows in (lost[chunk] for chunk in chunk_slices(len(lost))):
        position = np.interp(rows, known, np.arange(len(known)))  # index among the known rows
        before = position.astype(int)
        after = np.minimum(before + 1, len(known) - 1)
        first, second = values[known[before]], values[known[after]]
        weight = (position - before).reshape(-1, *(1,) * (first.ndim - 1))
        values[rows] = first * (1 - weight) + second * weight
