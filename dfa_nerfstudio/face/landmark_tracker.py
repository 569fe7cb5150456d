"""mediapipe's 478 landmarks of one face followed through the clip, by one of its two trackers."""

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
from dfa_nerfstudio.face.face_follower import FaceFollower, apart
from dfa_nerfstudio.face.log_suppression import native_stderr_silenced
from dfa_nerfstudio.media.rates import FRAME_RATE

MAX_FACES = 3
NUM_BLENDSHAPES = 52


class Face(NamedTuple):
    """One face of one frame."""

    landmarks: Float32[np.ndarray, "478 3"]
    """x right, y down and z away from the viewer, in units of the image's side."""
    blendshapes: Float32[np.ndarray, " B"]
    """mediapipe's scores, 0 to 1, in its order."""


class LandmarkTracker(ABC):
    """Finds the landmarks of one person's face frame by frame; of several faces the `follower` says which."""

    num_blendshapes = 0
    """B: 0 for a tracker that measures none."""

    def __init__(self) -> None:
        self.frames_with_others = 0
        """Number of frames that show a further face."""
        self.follower = FaceFollower()
        with native_stderr_silenced():
            self._start()
            self._faces(np.zeros((128, 128, 3), np.uint8))

    @classmethod
    def create(cls, face_landmarker: Path | None, alone: bool = False) -> LandmarkTracker:
        """The tracker of a model file of mediapipe's Tasks, or the one that mediapipe carries.

        Args:
            face_landmarker: the model file, if any.
            alone: nobody else is expected in the picture: looking for others in every frame is spared.

        Raises:
            UserError: if the model file is missing or of no use.
        """
        if face_landmarker is None:
            return FaceMeshTracker(1 if alone else MAX_FACES)
        return FaceLandmarkerTracker(face_landmarker)

    def find(self, image: UInt8[np.ndarray, "S S 3"], after_cut: bool = False) -> Face | None:
        """The person's face in the next frame, which may follow a cut; None where it is lost."""
        faces = self._faces(image)
        chosen = self.follower.choose([face.landmarks for face in faces], image, after_cut)
        if chosen is None:
            self.frames_with_others += len(faces) > 0
            if faces:
                self._forget()
            return None
        face = faces[chosen]
        self.frames_with_others += any(apart(other.landmarks, face.landmarks) for other in faces)
        return face

    @abstractmethod
    def _start(self) -> None:
        """Loads the networks."""

    def _forget(self) -> None:  # noqa: B027, most trackers need not
        """Looks for faces anew, not where they were."""

    @abstractmethod
    def _faces(self, image: UInt8[np.ndarray, "S S 3"]) -> list[Face]:
        """All faces of the next frame."""


class FaceMeshTracker(LandmarkTracker):
    """The refined face mesh, whose networks mediapipe carries.

    Args:
        max_faces: how many faces it looks for. As long as it has found fewer, it looks for more in every frame.
    """

    def __init__(self, max_faces: int = MAX_FACES) -> None:
        self._max_faces = max_faces
        super().__init__()

    def _forget(self) -> None:
        if self._max_faces == 1:  # or it would stay with a stranger's
            self._mesh.reset()

    def _start(self) -> None:
        self._mesh = face_mesh.FaceMesh(
            max_num_faces=self._max_faces,
            refine_landmarks=True,
            min_detection_confidence=0.5,
            min_tracking_confidence=0.5,
        )

    def _faces(self, image: UInt8[np.ndarray, "S S 3"]) -> list[Face]:
        result: Any = self._mesh.process(image)  # a named tuple whose fields mediapipe does not declare
        return [Face(_points(face.landmark), np.zeros(0, np.float32)) for face in result.multi_face_landmarks or []]


class FaceLandmarkerTracker(LandmarkTracker):
    """mediapipe's Tasks with a `face_landmarker.task` that the user has; measures blendshapes too.

    Args:
        model: the file.

    Raises:
        UserError: if it is missing or of no use.
    """

    num_blendshapes = NUM_BLENDSHAPES

    def __init__(self, model: Path) -> None:
        self._model, self._frames = model, 0
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
                f"{self._model}: cannot be read ({error.strerror}); give --face-landmarker mediapipe's "
                "face_landmarker.task, or leave the option out"
            ) from None
        except (RuntimeError, ValueError) as error:
            raise UserError(
                f"{self._model}: not a face landmarker that mediapipe can load ({error}); give --face-landmarker "
                "mediapipe's face_landmarker.task, with blendshapes"
            ) from None

    def _faces(self, image: UInt8[np.ndarray, "S S 3"]) -> list[Face]:
        milliseconds = round(self._frames * 1000 / FRAME_RATE)
        self._frames += 1
        picture = Image(image_format=ImageFormat.SRGB, data=np.ascontiguousarray(image))
        result = self._landmarker.detect_for_video(picture, milliseconds)
        return [
            Face(_points(points), np.array([score.score for score in scores], np.float32))
            for points, scores in zip(result.face_landmarks, result.face_blendshapes, strict=True)
        ]


def _points(landmarks: Any) -> Float32[np.ndarray, "478 3"]:
    return np.array([(point.x, point.y, point.z) for point in landmarks], np.float32)


def fill_lost(values: Float32[np.ndarray, "T ..."], found: Bool[np.ndarray, " T"]) -> None:
    """Fills rows that are not `found`, in place, linearly between their neighbours; before the first and after the last
    one the nearest is held. At least one row must be found."""
    known, lost = np.flatnonzero(found), np.flatnonzero(~found)
    place = np.interp(lost, known, np.arange(len(known)))  # among the known ones
    before = place.astype(int)
    after = np.minimum(before + 1, len(known) - 1)
    part = (place - before).reshape(-1, *(1,) * (values.ndim - 1))
    values[lost] = values[known[before]] * (1 - part) + values[known[after]] * part
