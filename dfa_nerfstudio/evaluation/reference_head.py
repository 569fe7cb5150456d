"""Faces of one person in several videos, measured in the head space of a reference video."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.landmark_track import LandmarkTrack
from dfa_nerfstudio.evaluation.motion.pose_axes import PoseAxes, pose_axes
from dfa_nerfstudio.face.eye_aperture import EyeCalibration, LidObservations
from dfa_nerfstudio.face.head_pose import Points, Poses, back_project
from dfa_nerfstudio.face.head_shape import landmark_poses, procrustes_mean
from dfa_nerfstudio.face.landmark_tracker import interpolate_lost
from dfa_nerfstudio.face.mouth_aperture import mouth_opening
from dfa_nerfstudio.face.topology import LANDMARKS_68
from dfa_nerfstudio.media.timeline import Timeline

DEFAULT_FOCAL_LENGTH = 2.0
"""Focal length in frame widths of a video whose camera is unknown: that of a portrait."""
MIN_FACE_FRAMES = 10
"""Frames that must show a face for a video to be measured."""


@dataclass
class FaceTrack:
    """A face in T frames; values of frames without a face are interpolated."""

    found: Bool[np.ndarray, " T"]
    """Whether each frame shows the face."""
    image_landmarks: Float[np.ndarray, "T 478 2"]
    """Landmarks in the frame, in pixels."""
    front_landmarks: Float[np.ndarray, "T 68 3"]
    """The 68 landmarks in head space, where the pose is removed; in units of the outer eye corner distance."""
    axes: PoseAxes
    """Head pose."""
    eye_opening: Float[np.ndarray, "T 2"]
    """Eye opening, 0 closed to 1 open, calibrated on the reference video."""
    mouth_opening: Float[np.ndarray, " T"]
    """Mean distance between the inner lips, in units of the outer eye corner distance."""


class ReferenceHead:
    """Head shape, resting face and eye calibration of one video, which define the head space of a person.

    Poses are estimated from the landmarks of each frame alone and are not smoothed, so that jitter remains measurable.
    """

    def __init__(self, reference: LandmarkTrack, name: str, focal_length: float = DEFAULT_FOCAL_LENGTH) -> None:
        """
        Args:
            reference: landmarks of a video with at least `MIN_FACE_FRAMES` frames that show the face.
            name: of the video, for the error.
            focal_length: of its camera in frame widths.

        Raises:
            UserError: if too few frames show a face.
        """
        if reference.found.sum() < MIN_FACE_FRAMES:
            raise UserError(
                f"{name}: only {reference.found.sum()} of {len(reference)} frames show a face; face metrics need "
                f"{MIN_FACE_FRAMES}"
            )
        self.focal_length = focal_length
        self.shape: Points = procrustes_mean(_centred(reference)[reference.found])
        front, poses = self._frontalise(_interpolated(reference))
        self.neutral: Float[np.ndarray, "68 3"] = front[reference.found][:, LANDMARKS_68].mean(0)
        """The person's resting face: S-bar + B_id F_id of Eq. 1."""
        self.eyes = EyeCalibration.fit(
            LidObservations.from_landmarks(front, poses), reference.found, _timeline(reference)
        )

    def face_track(self, video: LandmarkTrack) -> FaceTrack | None:
        """Measures the face in a video of the same person; None if too few frames show it."""
        if video.found.sum() < MIN_FACE_FRAMES:
            return None
        interpolated = _interpolated(video)
        front, poses = self._frontalise(interpolated)
        return FaceTrack(
            video.found,
            interpolated.landmarks[..., :2],
            front[:, LANDMARKS_68],
            pose_axes(poses.matrices()),
            self.eyes.opening(LidObservations.from_landmarks(front, poses), _timeline(video)),
            mouth_opening(front, poses),
        )

    def _frontalise(self, video: LandmarkTrack) -> tuple[Float[np.ndarray, "T 478 3"], Poses]:
        """Landmarks in head space, and the poses."""
        observed = _centred(video)
        poses = landmark_poses(self.shape, observed, self.focal_length)
        return back_project(observed[..., :2], self.shape, self.focal_length, poses), poses


def _timeline(video: LandmarkTrack) -> Timeline:
    return Timeline.from_cuts(len(video), len(video))


def _centred(video: LandmarkTrack) -> Float[np.ndarray, "T 478 3"]:
    """Landmarks relative to the frame's centre in frame widths, y up and z towards the viewer."""
    width, height = video.size
    return (video.landmarks - [width / 2, height / 2, 0]) * [1, -1, -1] / width


def _interpolated(video: LandmarkTrack) -> LandmarkTrack:
    landmarks = video.landmarks.copy()
    interpolate_lost(landmarks, video.found)
    return LandmarkTrack(landmarks, video.size)
