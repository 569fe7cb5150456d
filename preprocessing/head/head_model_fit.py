"""Learning the head of one person from keyframes: shape, focal length, and what the skin looks like."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.interpolate import RBFInterpolator

from dfa_nerfstudio.face.head_pose import (
    Information,
    Observed,
    Points,
    back_project,
    distances,
    huber_weights,
    project,
)
from dfa_nerfstudio.face.head_shape import (
    HeadSpace,
    Landmarks,
    align,
    laid_over,
    landmark_poses,
    procrustes_mean,
    upright,
)
from dfa_nerfstudio.face.topology import RIGID
from dfa_nerfstudio.preprocessing.head.bundle_adjustment import Prior, bundle_adjust
from dfa_nerfstudio.preprocessing.head.face_surface import FaceSurface, flattened
from dfa_nerfstudio.preprocessing.head.head_model import HeadModel, Images, sightings
from dfa_nerfstudio.preprocessing.head.skin_patches import Patches, lattice

FOCAL_PRIOR, FOCAL_PRIOR_DEVIATION = 2.0, 0.5
"""Of the focal length, in image sides, and of its logarithm."""
DEPTH_DEVIATION = 0.15
"""How far the tracker's depths are thought to be off, in head space units."""
INDEPENDENT = 0.01
"""What a sighting is worth against these: skin moves alike in neighbouring patches and for many frames."""
TEXELS_PER_PIXEL, RESOLUTION = 1.5, (60.0, 90.0)
"""How finely pictures are laid flat, and the least and most texels per head space unit."""
LEAST_SCATTER = 0.3
"""Of the usual scatter of a patch, so much is every one's at least."""
SMOOTHING = 1e-2
"""Of depth between patches."""
BLURS = (0.033, 0.017, 0.012, 0.012)
"""Of one round of learning after the other, in head space units."""


def learn_head(images: Images, landmarks: Landmarks) -> HeadModel:
    """Learns from keyframes.

    In every round they are laid flat under what is known so far, patches are found again, and a bundle adjustment
    explains where they are by better poses, depths and focal length.

    Args:
        images: training frames only.
        landmarks: of these frames, in units of the image's side.
    """
    seen = upright(landmarks)
    expected = shape = procrustes_mean(seen)
    focal, side = FOCAL_PRIOR, len(images[0])
    pixels = float(np.mean(align(shape[RIGID], seen[:, RIGID])[0])) * side  # per unit
    resolution = float(np.clip(TEXELS_PER_PIXEL * pixels, *RESOLUTION))
    poses = landmark_poses(shape, seen, focal)
    centres = lattice(FaceSurface.of(shape, resolution).rigid, resolution)
    scatter = np.zeros((len(centres), 2, 2))
    for blur in BLURS:
        surface = FaceSurface.of(shape, resolution)
        flat = flattened(images, surface, poses, focal)
        patches = Patches.learn(flat, centres, resolution, blur)
        observed, information, _ = sightings(flat, patches, surface, poses, focal, side, scatter)
        points = surface.lift(centres)
        depth = FaceSurface.of(expected, resolution).lift(centres)[:, 2]
        prior = Prior(depth, DEPTH_DEVIATION, float(np.log(FOCAL_PRIOR)), FOCAL_PRIOR_DEVIATION, INDEPENDENT)
        adjusted, poses, focal = bundle_adjust(points, observed, information, focal, poses, prior)
        scatter = _scatter(observed - project(poses.to_camera(adjusted), focal), information)
        shape, expected = _adjusted(shape, points, adjusted), laid_over(points, adjusted, expected)
        # landmarks are where they are seen, at the depth of the skin
        shape[:, :2] = back_project(seen[..., :2], shape, focal, poses)[..., :2].mean(0)
        space = HeadSpace.of(shape)
        shape, expected, poses = space.points(shape), space.points(expected), space.poses(poses)

    surface = FaceSurface.of(shape, resolution)
    flat = flattened(images, surface, poses, focal)
    coarse, fine = (Patches.learn(flat, centres, resolution, blur) for blur in (BLURS[0], BLURS[-1]))
    _, _, residual = sightings(flat, fine, surface, poses, focal, side, scatter)
    scale = float(np.mean(focal / -poses.translation[:, 2]))
    return HeadModel(shape, focal, scale, surface, (coarse, fine), residual, scatter)


def _scatter(residual: Observed, information: Information) -> Float[np.ndarray, "P 2 2"]:
    """Robust covariance of what a rigid head leaves of each patch's place.

    Patches that are counted more fit better for that alone: some of the mean over all patches is added to each.
    """
    weight = huber_weights(distances(residual, information)) * information.any((2, 3))
    total = np.einsum("tp,tpi,tpj->pij", weight, residual, residual)
    covariance = total / np.maximum(weight.sum(0), 1)[:, None, None]
    deviation = np.sqrt(np.median(np.trace(covariance, axis1=1, axis2=2)) / 2)
    return covariance + (LEAST_SCATTER * deviation) ** 2 * np.eye(2)


def _adjusted(shape: Points, points: Points, adjusted: Points) -> Points:
    """Moves landmarks with the patches: as a whole, and then each to the depth of the patches around it."""
    points, shape = laid_over(points, adjusted, points), laid_over(points, adjusted, shape)
    deeper = RBFInterpolator(points[:, :2], (adjusted - points)[:, 2], kernel="linear", smoothing=SMOOTHING)
    shape[:, 2] += deeper(shape[:, :2])
    return shape
