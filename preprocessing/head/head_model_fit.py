"""Learns a `HeadModel` from keyframes: shape, focal length, and the appearance of the skin."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.interpolate import RBFInterpolator

from dfa_nerfstudio.face.head_pose import (
    Information,
    Observed,
    Points,
    back_project,
    huber_weights,
    mahalanobis_distances,
    project_points,
)
from dfa_nerfstudio.face.head_shape import (
    HeadSpace,
    Landmarks,
    align_points,
    fit_similarity,
    landmark_poses,
    procrustes_mean,
    to_opengl_axes,
)
from dfa_nerfstudio.face.topology import RIGID
from dfa_nerfstudio.preprocessing.head.bundle_adjustment import BundlePrior, bundle_adjust
from dfa_nerfstudio.preprocessing.head.face_surface import FaceSurface, unwrap_to_surface
from dfa_nerfstudio.preprocessing.head.head_model import GreyImages, HeadModel, observe_patches
from dfa_nerfstudio.preprocessing.head.skin_patches import SkinPatches, patch_grid

FOCAL_PRIOR, LOG_FOCAL_DEVIATION = 2.0, 0.5
"""Prior of the focal length, in image sides, and the standard deviation of its logarithm."""
DEPTH_DEVIATION = 0.15
"""Standard deviation of the landmark tracker's depths, in head space units."""
INDEPENDENT_SHARE = 0.01
"""Fraction of the observations that err independently, because skin moves alike in neighbouring patches and for many
frames."""
TEXELS_PER_PIXEL, RESOLUTION_RANGE = 1.5, (60.0, 90.0)
"""Texels per pixel of the unwrapped frames, and the range of texels per head space unit."""
MIN_SCATTER_SHARE = 0.3
"""Minimum standard deviation of a patch's scatter, relative to the median over patches."""
DEPTH_SMOOTHING = 1e-2
"""Smoothing of the depth that is interpolated between patches."""
BLURS = (0.033, 0.017, 0.012, 0.012)
"""Blur of the patches in each round of learning, in head space units."""


def learn_head_model(images: GreyImages, landmarks: Landmarks) -> HeadModel:
    """Learns a head model from keyframes.

    Each round unwraps the keyframes with the current estimate, locates the patches again, and estimates poses, depths
    and focal length from their positions by bundle adjustment.

    Args:
        images: keyframes of the training part.
        landmarks: their landmarks in image sides.
    """
    observed_landmarks = to_opengl_axes(landmarks)
    expected = shape = procrustes_mean(observed_landmarks)
    focal, side = FOCAL_PRIOR, len(images[0])
    pixels_per_unit = float(np.mean(fit_similarity(shape[RIGID], observed_landmarks[:, RIGID])[0])) * side
    resolution = float(np.clip(TEXELS_PER_PIXEL * pixels_per_unit, *RESOLUTION_RANGE))
    poses = landmark_poses(shape, observed_landmarks, focal)
    centres = patch_grid(FaceSurface.from_landmarks(shape, resolution).rigid, resolution)
    scatter = np.zeros((len(centres), 2, 2))
    for blur in BLURS:
        surface = FaceSurface.from_landmarks(shape, resolution)
        textures = unwrap_to_surface(images, surface, poses, focal)
        patches = SkinPatches.learn(textures, centres, resolution, blur)
        observed, information, _ = observe_patches(textures, patches, surface, poses, focal, side, scatter)
        points = surface.lift(centres)
        depth = FaceSurface.from_landmarks(expected, resolution).lift(centres)[:, 2]
        log_focal = float(np.log(FOCAL_PRIOR))
        prior = BundlePrior(depth, DEPTH_DEVIATION, log_focal, LOG_FOCAL_DEVIATION, INDEPENDENT_SHARE)
        adjusted, poses, focal = bundle_adjust(points, observed, information, focal, poses, prior)
        scatter = _patch_scatter(observed - project_points(poses.to_camera(adjusted), focal), information)
        shape, expected = _move_landmarks(shape, points, adjusted), align_points(points, adjusted, expected)
        # x and y of landmarks come from their observations, z from the skin
        shape[:, :2] = back_project(observed_landmarks[..., :2], shape, focal, poses)[..., :2].mean(0)
        space = HeadSpace.from_landmarks(shape)
        shape, expected = space.transform_points(shape), space.transform_points(expected)
        poses = space.transform_poses(poses)

    surface = FaceSurface.from_landmarks(shape, resolution)
    textures = unwrap_to_surface(images, surface, poses, focal)
    coarse, fine = (SkinPatches.learn(textures, centres, resolution, blur) for blur in (BLURS[0], BLURS[-1]))
    _, _, residual = observe_patches(textures, fine, surface, poses, focal, side, scatter)
    scale = float(np.mean(focal / -poses.translation[:, 2]))
    return HeadModel(shape, focal, scale, surface, (coarse, fine), residual, scatter)


def _patch_scatter(residual: Observed, information: Information) -> Float[np.ndarray, "P 2 2"]:
    """Returns the robust covariance of each patch's residual.

    A share of the median over all patches is added, because a patch with a larger weight fits better for that reason
    alone.
    """
    weight = huber_weights(mahalanobis_distances(residual, information)) * information.any((2, 3))
    total = np.einsum("tp,tpi,tpj->pij", weight, residual, residual)
    covariance = total / np.maximum(weight.sum(0), 1)[:, None, None]
    deviation = np.sqrt(np.median(np.trace(covariance, axis1=1, axis2=2)) / 2)
    return covariance + (MIN_SCATTER_SHARE * deviation) ** 2 * np.eye(2)


def _move_landmarks(shape: Points, points: Points, adjusted: Points) -> Points:
    """Moves landmarks with the patches: first by their common similarity, then by the depth of the patches nearby."""
    points, shape = align_points(points, adjusted, points), align_points(points, adjusted, shape)
    depth_change = RBFInterpolator(points[:, :2], (adjusted - points)[:, 2], kernel="linear", smoothing=DEPTH_SMOOTHING)
    shape[:, 2] += depth_change(shape[:, :2])
    return shape
