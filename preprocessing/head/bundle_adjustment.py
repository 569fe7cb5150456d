"""Poses, points and focal length that explain all sightings together (bundle adjustment)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import block_diag, solve

from dfa_nerfstudio.face.head_pose import (
    Information,
    Observed,
    Points,
    Poses,
    distances,
    huber_weights,
    moved,
    pose_jacobian,
    project,
    robust_cost,
)

ITERATIONS, TOLERANCE = 15, 1e-5
"""Steps at most, and the relative gain at which to stop."""


@dataclass
class Prior:
    """What is thought before a sighting is counted."""

    depth: Float[np.ndarray, " N"]
    """z of each point in head space."""
    depth_deviation: float
    """Its standard deviation."""
    log_focal: float
    log_focal_deviation: float
    independent: float = 1.0
    """Part of the sightings that err independently: the others only repeat them."""

    @property
    def depth_precision(self) -> float:
        return 1 / (self.independent * self.depth_deviation**2)

    @property
    def log_focal_precision(self) -> float:
        return 1 / (self.independent * self.log_focal_deviation**2)

    def cost(self, points: Points, log_focal: float) -> float:
        """Squares of what differs from the prior, to be added to those of the sightings."""
        depth = self.depth_precision * np.sum((points[:, 2] - self.depth) ** 2)
        return float(depth + self.log_focal_precision * (log_focal - self.log_focal) ** 2)


def bundle_adjust(
    points: Points, observed: Observed, information: Information, focal: float, poses: Poses, prior: Prior
) -> tuple[Points, Poses, float]:
    """Levenberg-Marquardt on the robust reprojection error and the prior together.

    Each pose enters the normal equations only through its own 6x6 block and is eliminated (Schur complement), which
    leaves a dense system in 3 N + 1 unknowns. Unlike solving for poses and for points in turn, this follows the narrow
    valley along which a flatter head that turns more looks nearly the same.

    Args:
        points: where to start from, in head space.
        observed: where they are seen, in image sides.
        information: inverse covariance of each sighting; zero where a point was not seen.
        focal: where to start from, in image sides.
        poses: where to start from.
        prior: of depths and focal length.
    """
    log_focal, damping = float(np.log(focal)), 1e-4

    def cost(points: Points, poses: Poses, log_focal: float) -> float:
        residual = observed - project(poses.to_camera(points), np.exp(log_focal))
        return float(robust_cost(residual, information).sum()) + prior.cost(points, log_focal)

    present = cost(points, poses, log_focal)
    for _ in range(ITERATIONS):
        system = _normal_equations(points, observed, information, log_focal, poses, prior)
        while True:
            turn_shift, shift, log_step = system.solve(damping)
            trial = points + shift, moved(poses, turn_shift), log_focal + log_step
            after = cost(*trial)
            if after <= present or damping > 1e6:
                break
            damping *= 8
        gain = present - after
        if gain > 0:
            (points, poses, log_focal), present, damping = trial, after, max(damping / 6, 1e-8)
        if gain < TOLERANCE * present:
            break
    return points, poses, float(np.exp(log_focal))


@dataclass
class _NormalEquations:
    """Blocks of J' W J and of J' W r. The K = 3 N + 1 unknowns that all frames share are points and then log focal
    length."""

    poses: Float[np.ndarray, "T 6 6"]
    shared: Float[np.ndarray, "K K"]
    mixed: Float[np.ndarray, "T 6 K"]
    pose_moment: Float[np.ndarray, "T 6"]
    shared_moment: Float[np.ndarray, " K"]

    def solve(self, damping: float) -> tuple[Float[np.ndarray, "T 6"], Points, float]:
        """The step of poses, points and log focal length."""
        inverse = np.linalg.inv(_damped(self.poses, damping))
        size = len(self.shared)
        through = (inverse @ self.mixed).reshape(-1, size)  # [6 T, K]
        reduced = _damped(self.shared, damping) - self.mixed.reshape(-1, size).T @ through
        step = solve(reduced, self.shared_moment - self.pose_moment.reshape(-1) @ through, assume_a="sym")
        turn_shift = inverse @ (self.pose_moment - self.mixed @ step)[..., None]
        return turn_shift[..., 0], step[:-1].reshape(-1, 3), float(step[-1])


def _damped(matrix: Float[np.ndarray, "*T K K"], damping: float) -> Float[np.ndarray, "*T K K"]:
    """With more on its diagonal: position, orientation and scale of head space itself are free, and a point that was
    never seen stays where it is."""
    diagonal = np.diagonal(matrix, axis1=-2, axis2=-1)
    held = damping * diagonal + 1e-9 * diagonal.mean()
    return matrix + held[..., None] * np.eye(matrix.shape[-1])


def _normal_equations(
    points: Points,
    observed: Observed,
    information: Information,
    log_focal: float,
    poses: Poses,
    prior: Prior,
) -> _NormalEquations:
    focal, frames, count = float(np.exp(log_focal)), len(poses), len(points)
    camera = poses.to_camera(points)
    seen = project(camera, focal)
    residual = (observed - seen)[..., None]
    weight = huber_weights(distances(residual[..., 0], information))[..., None, None] * information  # [T, N, 2, 2]
    of_pose, of_camera = pose_jacobian(camera, focal, poses)
    of_point = of_camera @ poses.rotation[:, None]  # [T, N, 2, 3]
    of_focal = seen[..., None]  # [T, N, 2, 1]

    def transposed(jacobian: np.ndarray) -> np.ndarray:
        return np.swapaxes(jacobian, -1, -2)

    def over_points(jacobian: np.ndarray) -> np.ndarray:
        """All sightings of a frame below each other."""
        return jacobian.reshape(frames, 2 * count, -1)

    weighted_pose, weighted_point = weight @ of_pose, weight @ of_point
    weighted_focal, weighted_residual = weight @ of_focal, weight @ residual
    of_poses = transposed(over_points(of_pose))  # [T, 6, 2 N]
    shared, mixed = np.zeros((3 * count + 1, 3 * count + 1)), np.zeros((frames, 6, 3 * count + 1))
    blocks = np.sum(transposed(of_point) @ weighted_point, axis=0)  # [N, 3, 3]
    blocks[:, 2, 2] += prior.depth_precision
    points_moment = np.sum(transposed(of_point) @ weighted_residual, axis=0)[..., 0]  # [N, 3]
    points_moment[:, 2] -= prior.depth_precision * (points[:, 2] - prior.depth)
    shared[:-1, :-1] = block_diag(*blocks)
    shared[:-1, -1] = shared[-1, :-1] = np.sum(transposed(of_point) @ weighted_focal, axis=0).reshape(-1)
    shared[-1, -1] = np.sum(weighted_focal * of_focal) + prior.log_focal_precision
    focal_moment = np.sum(weighted_focal * residual) - prior.log_focal_precision * (log_focal - prior.log_focal)
    mixed[..., :-1] = (transposed(of_pose) @ weighted_point).transpose(0, 2, 1, 3).reshape(frames, 6, -1)
    mixed[..., -1:] = of_poses @ over_points(weighted_focal)
    return _NormalEquations(
        of_poses @ over_points(weighted_pose),
        shared,
        mixed,
        (of_poses @ over_points(weighted_residual))[..., 0],
        np.append(points_moment, focal_moment),
    )
