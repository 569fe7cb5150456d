"""Model of one person's head, and its tracking through a clip.

Landmarks of a face tracker are a network's estimates: they jitter, and lag behind a turning head. They therefore only
initialize the pose. Skin patches that no expression moves (forehead, nose, cheekbones) are then located to a fraction
of a pixel, and the pose minimizes their reprojection error.
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
    concatenate_poses,
    linearize_reprojection,
    pose_jacobian,
    project_points,
    solve_poses,
)
from dfa_nerfstudio.face.head_shape import Landmarks, landmark_information, landmark_poses, to_opengl_axes
from dfa_nerfstudio.face.topology import RIGID
from dfa_nerfstudio.preprocessing.head.face_surface import FaceSurface, unwrap_to_surface
from dfa_nerfstudio.preprocessing.head.skin_patches import SkinPatches

GreyImages = Sequence[UInt8[np.ndarray, "S S"]]

LANDMARK_WEIGHT = 0.02
"""Weight of landmarks relative to patches; it determines the pose where the patches cannot be found."""
LEVEL_SCHEDULE = (0, 1, 1, 1)
"""Index into `HeadModel.levels` of each refinement step."""
MIN_DEVIATION = 0.05
"""Minimum standard deviation of a patch's position, pixels."""
MIN_FACING = 0.35
"""Minimum cosine between a patch's normal and the line of sight; other patches are not used."""
OUTLIER_THRESHOLD = 2.5
"""Ratio of a patch's residual to its reference residual, above which the patch counts as hidden."""


@dataclass
class HeadModel:
    """Model of a head: learnt from training keyframes, applied to every frame."""

    shape: Points
    """Mean positions of all landmarks in head space."""
    focal: float
    """Focal length in image sides."""
    scale: float
    """Mean number of image sides per head space unit."""
    surface: FaceSurface
    levels: tuple[SkinPatches, SkinPatches]
    """Coarse patches, with a wide range of convergence, and fine patches, which are precise."""
    residual: Float[np.ndarray, " P"]
    """Reference residual of each fine patch: its median over the keyframes."""
    scatter: Float[np.ndarray, "P 2 2"]
    """Covariance of each patch's position about its position on a rigid head, in image sides^2, because skin moves on
    the skull: large on the forehead, small on the nose."""

    def track(self, images: GreyImages, landmarks: Landmarks) -> HeadTracks:
        """Estimates the head pose of each frame independently.

        Args:
            images: the frames.
            landmarks: their landmarks in image sides.
        """
        observed_landmarks = to_opengl_axes(landmarks)
        poses = initial = landmark_poses(self.shape, observed_landmarks, self.focal)
        points = np.concatenate([self.shape[RIGID], self.surface.lift(self.levels[1].centres)])
        landmark_weights = LANDMARK_WEIGHT * landmark_information(self.shape, observed_landmarks)
        for level in LEVEL_SCHEDULE:
            textures = unwrap_to_surface(images, self.surface, poses, self.focal)
            patches, patch_weights, _ = observe_patches(
                textures,
                self.levels[level],
                self.surface,
                poses,
                self.focal,
                len(images[0]),
                self.scatter,
                self.residual,
            )
            observed = np.concatenate([observed_landmarks[:, RIGID, :2], patches], 1)
            information = np.concatenate([landmark_weights, patch_weights], 1)
            poses = solve_poses(points, observed, information, self.focal, poses, iterations=3)
        residual, normal, _ = linearize_reprojection(points, observed, information, self.focal, poses)
        error = np.linalg.norm(residual[:, len(RIGID) :], axis=-1)
        visible_error = np.ma.masked_array(error, information[:, len(RIGID) :, 0, 0] == 0)
        return HeadTracks(initial, poses, normal, np.ma.median(visible_error, axis=1).filled(np.nan))


@dataclass
class HeadTracks:
    """Tracked head poses of T frames."""

    initial: Poses
    """Poses fitted to the landmarks alone."""
    poses: Poses
    """Poses fitted to patches and landmarks."""
    information: Float[np.ndarray, "T 6 6"]
    """Inverse covariance of each pose (see `apply_pose_step`), under the assumption that patches err independently."""
    error: Float[np.ndarray, " T"]
    """Median distance between the visible patches and their reprojection, in image sides; NaN if none is visible."""

    @classmethod
    def concatenate(cls, parts: list[HeadTracks]) -> HeadTracks:
        """Concatenates tracks in time."""
        return cls(
            concatenate_poses([part.initial for part in parts]),
            concatenate_poses([part.poses for part in parts]),
            np.concatenate([part.information for part in parts]),
            np.concatenate([part.error for part in parts]),
        )


def observe_patches(
    textures: Sequence[np.ndarray],
    patches: SkinPatches,
    surface: FaceSurface,
    poses: Poses,
    focal: float,
    side: int,
    scatter: Float[np.ndarray, "P 2 2"],
    reference_residual: Float[np.ndarray, " P"] | None = None,
) -> tuple[Observed, Information, Float[np.ndarray, " P"]]:
    """Locates patches in frames whose poses are approximately known.

    Args:
        textures: the frames, unwrapped with these poses.
        patches: the patches to locate.
        surface: surface on which the patches lie.
        poses: approximate poses of the frames.
        focal: focal length in image sides.
        side: side of the frames, pixels.
        scatter: see `HeadModel.scatter`.
        reference_residual: see `HeadModel.residual`; None computes it from these frames.

    Returns:
        positions in image sides, their inverse covariances (zero for patches that are hidden or seen from the side),
        and the reference residuals.
    """
    steps, residuals = (np.stack(part) for part in zip(*map(patches.displacement, textures), strict=True))
    if reference_residual is None:
        reference_residual = np.asarray(np.median(residuals, axis=0))
    camera_points = poses.to_camera(surface.lift(patches.centres + steps))  # [T, P, 3]
    _, by_camera_point = pose_jacobian(camera_points, focal, poses)
    tangents = poses.rotation[:, None] @ surface.tangents(patches.centres)  # [T, P, 3, 2] in camera space
    by_texel = by_camera_point @ tangents
    covariance = by_texel @ patches.covariance(reference_residual) @ np.swapaxes(by_texel, -1, -2)
    information = np.linalg.inv(covariance + scatter + (MIN_DEVIATION / side) ** 2 * np.eye(2))

    normal = np.cross(tangents[..., 1], tangents[..., 0])
    cosine = -np.sum(normal * camera_points, -1)
    cosine = cosine / np.linalg.norm(normal, axis=-1) / np.linalg.norm(camera_points, axis=-1)
    visible = (residuals < OUTLIER_THRESHOLD * reference_residual) & (cosine > MIN_FACING)
    return project_points(camera_points, focal), information * visible[..., None, None], reference_residual
