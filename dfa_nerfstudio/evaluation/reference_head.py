"""Two videos of one person's face, seen in the head space of one of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.landmark_track import Sightings
from dfa_nerfstudio.evaluation.motion.pose_axes import PoseAxes, pose_axes
from dfa_nerfstudio.face.eye_aperture import EyeCalibration, Lids
from dfa_nerfstudio.face.head_pose import Points, Poses, back_project
from dfa_nerfstudio.face.head_shape import landmark_poses, procrustes_mean
from dfa_nerfstudio.face.landmark_tracker import fill_lost
from dfa_nerfstudio.face.mouth_aperture import mouth_opening
from dfa_nerfstudio.face.topology import LANDMARKS_68
from dfa_nerfstudio.media.timeline import Timeline

FOCAL = 2.0
"""Focal length in picture widths where nothing is known: that of a portrait."""
LEAST = 10
"""Frames that must show the face."""


@dataclass
class Faces:
    """A face in T frames; rows of frames in which it is not seen are interpolated."""

    found: Bool[np.ndarray, " T"]
    pixels: Float[np.ndarray, "T 478 2"]
    """Landmarks in the picture."""
    front: Float[np.ndarray, "T 68 3"]
    """The 68 landmarks in head space: the pose is taken out."""
    axes: PoseAxes
    eye_opening: Float[np.ndarray, "T 2"]
    """0 closed to 1 open, as the reference's eyes close and open."""
    mouth_opening: Float[np.ndarray, " T"]
    """Distance of the inner lips in head space units (distances of the outer eye corners)."""


class ReferenceHead:
    """Head shape, resting face and eyes of one video, by which it and others of the same person are seen.

    Poses are those of the landmarks alone, each frame for itself and not smoothed, so that what trembles is seen to
    tremble.
    """

    def __init__(self, reference: Sightings, name: str, focal: float = FOCAL) -> None:
        """
        Args:
            reference: a video with at least `LEAST` frames that show the face.
            name: of the video, for the error.
            focal: of its camera in picture widths.

        Raises:
            UserError: if hardly any frame shows a face.
        """
        if reference.found.sum() < LEAST:
            raise UserError(
                f"{name}: a face is seen in only {reference.found.sum()} of {len(reference)} frames; "
                f"{LEAST} are needed for what is measured on faces"
            )
        self.focal = focal
        self.shape: Points = procrustes_mean(_upright(reference)[reference.found])
        front, poses = self._front(_filled(reference))
        self.neutral: Float[np.ndarray, "68 3"] = front[reference.found][:, LANDMARKS_68].mean(0)
        """The person without expression: S-bar + B_id F_id of Eq. 1."""
        self.eyes = EyeCalibration.learn(Lids.of(front, poses), reference.found, _whole(reference))

    def faces(self, video: Sightings) -> Faces | None:
        """The faces of a video of the same person; None where hardly any is seen."""
        if video.found.sum() < LEAST:
            return None
        filled = _filled(video)
        front, poses = self._front(filled)
        return Faces(
            video.found,
            filled.landmarks[..., :2],
            front[:, LANDMARKS_68],
            pose_axes(poses.matrices()),
            self.eyes.opening(Lids.of(front, poses), _whole(video)),
            mouth_opening(front, poses),
        )

    def _front(self, video: Sightings) -> tuple[Float[np.ndarray, "T 478 3"], Poses]:
        seen = _upright(video)
        poses = landmark_poses(self.shape, seen, self.focal)
        return back_project(seen[..., :2], self.shape, self.focal, poses), poses


def _whole(video: Sightings) -> Timeline:
    return Timeline.of(len(video), len(video))


def _upright(video: Sightings) -> Float[np.ndarray, "T 478 3"]:
    """About the picture's centre in picture widths, y up and z towards the viewer."""
    width, height = video.size
    return (video.landmarks - [width / 2, height / 2, 0]) * [1, -1, -1] / width


def _filled(video: Sightings) -> Sightings:
    landmarks = video.landmarks.copy()
    fill_lost(landmarks, video.found)
    return Sightings(landmarks, video.size)
