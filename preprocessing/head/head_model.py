"""The head of one person as it is followed through a clip.

Landmarks of a face tracker are what a network takes for likely: they tremble, and lag behind a head that turns. So they
only say where to start. Patches of skin that no expression moves (forehead, nose, cheekbones) are found again to a
fraction of a pixel, and the pose is what explains them best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from dfa_nerfstudio.face.head_pose import (
    Information,
    Observed,
    Points,
    Poses,
    join,
    linearised,
    pose_jacobian,
    project,
    solve_poses,
)
from dfa_nerfstudio.face.head_shape import Landmarks, landmark_information, landmark_poses, upright
from dfa_nerfstudio.face.topology import RIGID
from dfa_nerfstudio.preprocessing.head.face_surface import FaceSurface, flattened
from dfa_nerfstudio.preprocessing.head.skin_patches import Patches

Images = Sequence[UInt8[np.ndarray, "S S"]]
"""Grey."""

LANDMARK_SHARE = 0.02
"""What landmarks count beside patches: enough to say where a head is whose patches cannot be found."""
STEPS = (0, 1, 1, 1)
"""Levels of `HeadModel.levels` one after the other."""
SHARPEST = 0.05
"""Standard deviation in pixels that no patch goes below."""
LEAST_FACING = 0.35
"""Cosine between a patch's normal and the line of sight below which it is not looked for."""
STRANGE = 2.5
"""A patch that differs from the reference so many times more than usual is hidden."""


@dataclass
class HeadModel:
    """What is learnt from keyframes of the training part and then used on every frame."""

    shape: Points
    """All landmarks' mean places in head space."""
    focal: float
    """In image sides."""
    scale: float
    """Image sides per head space unit, on average."""
    surface: FaceSurface
    levels: tuple[Patches, Patches]
    """Patches that are found from afar, and those that are found precisely."""
    residual: Float[np.ndarray, " P"]
    """The patches' usual difference to the reference of the second level."""
    scatter: Float[np.ndarray, "P 2 2"]
    """How far skin moves on the skull: covariance of each patch's place in the image about where a rigid head has it,
    in image sides^2. A forehead wrinkles, a nose does not."""

    def follow(self, images: Images, landmarks: Landmarks) -> Tracks:
        """Finds the head in frames, each for itself.

        Args:
            images: the frames.
            landmarks: theirs, in units of the image's side.
        """
        seen = upright(landmarks)
        poses = start = landmark_poses(self.shape, seen, self.focal)
        points = np.concatenate([self.shape[RIGID], self.surface.lift(self.levels[1].centres)])
        weak = LANDMARK_SHARE * landmark_information(self.shape, seen)
        for step in STEPS:
            flat = flattened(images, self.surface, poses, self.focal)
            patches, certainty, _ = sightings(
                flat, self.levels[step], self.surface, poses, self.focal, len(images[0]), self.scatter, self.residual
            )
            observed = np.concatenate([seen[:, RIGID, :2], patches], 1)
            information = np.concatenate([weak, certainty], 1)
            poses = solve_poses(points, observed, information, self.focal, poses, iterations=3)
        residual, normal, _ = linearised(points, observed, information, self.focal, poses)
        error = np.linalg.norm(residual[:, len(RIGID) :], axis=-1)
        shown = np.ma.masked_array(error, information[:, len(RIGID) :, 0, 0] == 0)
        return Tracks(start, poses, normal, np.ma.median(shown, axis=1).filled(np.nan))


@dataclass
class Tracks:
    """Where a head was found in T frames."""

    start: Poses
    """What landmarks alone say."""
    poses: Poses
    information: Float[np.ndarray, "T 6 6"]
    """Inverse covariance of each pose (see `moved`), as if every patch erred for itself."""
    error: Float[np.ndarray, " T"]
    """How far patches are from where the pose puts them, in image sides; the median of those that are not hidden, not a
    number where all are."""

    @classmethod
    def join(cls, parts: list[Tracks]) -> Tracks:
        """Frames one after the other."""
        return cls(
            join([part.start for part in parts]),
            join([part.poses for part in parts]),
            np.concatenate([part.information for part in parts]),
            np.concatenate([part.error for part in parts]),
        )


def sightings(
    flat: Sequence[np.ndarray],
    patches: Patches,
    surface: FaceSurface,
    poses: Poses,
    focal: float,
    side: int,
    scatter: Float[np.ndarray, "P 2 2"],
    usual: Float[np.ndarray, " P"] | None = None,
) -> tuple[Observed, Information, Float[np.ndarray, " P"]]:
    """Where patches are seen in frames of about these poses.

    Args:
        flat: the frames, laid flat under these poses.
        patches: what is looked for.
        surface: on which they lie.
        poses: of the frames.
        focal: in image sides.
        side: of the frames in pixels.
        scatter: see `HeadModel.scatter`.
        usual: the patches' usual differences to the reference; none to take their medians over these frames.

    Returns:
        places in image sides, their inverse covariances (zero for patches that are hidden or seen from the side), and
        `usual`.
    """
    steps, residuals = (np.stack(part) for part in zip(*map(patches.displacement, flat), strict=True))
    if usual is None:
        usual = np.asarray(np.median(residuals, axis=0))
    camera = poses.to_camera(surface.lift(patches.centres + steps))  # [T, P, 3]
    _, of_camera = pose_jacobian(camera, focal, poses)
    tangents = poses.rotation[:, None] @ surface.tangents(patches.centres)  # [T, P, 3, 2] of camera space
    of_texel = of_camera @ tangents
    covariance = of_texel @ patches.covariance(usual) @ np.swapaxes(of_texel, -1, -2)
    information = np.linalg.inv(covariance + scatter + (SHARPEST / side) ** 2 * np.eye(2))

    normal = np.cross(tangents[..., 1], tangents[..., 0])
    facing = -np.sum(normal * camera, -1) / np.linalg.norm(normal, axis=-1) / np.linalg.norm(camera, axis=-1)
    seen = (residuals < STRANGE * usual) & (facing > LEAST_FACING)
    return project(camera, focal), information * seen[..., None, None], usual
