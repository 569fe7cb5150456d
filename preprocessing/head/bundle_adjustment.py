"""Bundle adjustment: head poses, points and focal length that jointly minimize the reprojection error."""

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
    apply_pose_step,
    huber_cost,
    huber_weights,
    mahalanobis_distances,
    pose_jacobian,
    project_points,
)

MAX_ITERATIONS, TOLERANCE = 15, 1e-5
"""Maximum number of steps, and the relative reduction of the cost below which they end."""


@dataclass
class BundlePrior:
    """Prior of the points' depths and of the focal length."""

    depth: Float[np.ndarray, " N"]
    """Expected z of each point in head space."""
    depth_deviation: float
    """Standard deviation of the depths."""
    log_focal: float
    log_focal_deviation: float
    independent: float = 1.0
    """Fraction of the observations that err independently; the others repeat their errors."""

    @property
    def depth_precision(self) -> float:
        """Weight of a squared depth difference, relative to the observations."""
        return 1 / (self.independent * self.depth_deviation**2)

    @property
    def log_focal_precision(self) -> float:
        """Weight of a squared difference in log focal length, relative to the observations."""
        return 1 / (self.independent * self.log_focal_deviation**2)

    def cost(self, points: Points, log_focal: float) -> float:
        """Returns the weighted squared differences from the prior, to be added to those of the observations."""
        depth = self.depth_precision * np.sum((points[:, 2] - self.depth) ** 2)
        return float(depth + self.log_focal_precision * (log_focal - self.log_focal) ** 2)


def bundle_adjust(
    points: Points, observed: Observed, information: Information, focal: float, poses: Poses, prior: BundlePrior
) -> tuple[Points, Poses, float]:
    """Minimizes the sum of the robust reprojection error and the prior's cost, by Levenberg-Marquardt.

    Each pose enters the normal equations only through its own 6x6 block and is eliminated (Schur complement), which
    leaves a dense system in 3 N + 1 unknowns. In contrast to solving for poses and points alternately, this follows the
    narrow valley along which a flatter head with larger rotations looks nearly the same.

    Args:
        points: initial points in head space.
        observed: their positions in each frame, in image sides.
        information: inverse covariance of each observation; zero for a missing one.
        focal: initial focal length in image sides.
        poses: initial poses.
        prior: prior of depths and focal length.

    Returns:
        points, poses and focal length.
    """
    log_focal, damping = float(np.log(focal)), 1e-4

    def cost(points: Points, poses: Poses, log_focal: float) -> float:
        residual = observed - project_points(poses.to_camera(points), np.exp(log_focal))
        return float(huber_cost(residual, information).sum()) + prior.cost(points, log_focal)

    current_cost = cost(points, poses, log_focal)
    for _ in range(MAX_ITERATIONS):
        system = _normal_equations(points, observed, information, log_focal, poses, prior)
        while True:
            pose_step, point_step, log_step = system.solve(damping)
            trial = points + point_step, apply_pose_step(poses, pose_step), log_focal + log_step
            trial_cost = cost(*trial)
            if trial_cost <= current_cost or damping > 1e6:
                break
            damping *= 8
        gain = current_cost - trial_cost
        if gain > 0:
            (points, poses, log_focal), current_cost, damping = trial, trial_cost, max(damping / 6, 1e-8)
        if gain < TOLERANCE * current_cost:
            break
    return points, poses, float(np.exp(log_focal))


@dataclass
class _NormalEquations:
    """Blocks of J' W J and of J' W r. The K = 3 N + 1 unknowns shared by all frames are the points, then the log focal
    length."""

    poses: Float[np.ndarray, "T 6 6"]
    shared: Float[np.ndarray, "K K"]
    mixed: Float[np.ndarray, "T 6 K"]
    pose_moment: Float[np.ndarray, "T 6"]
    shared_moment: Float[np.ndarray, " K"]

    def solve(self, damping: float) -> tuple[Float[np.ndarray, "T 6"], Points, float]:
        """Returns the steps of poses, points and log focal length."""
        inverse = np.linalg.inv(_damp(self.poses, damping))
        size = len(self.shared)
        eliminated = (inverse @ self.mixed).reshape(-1, size)  # [6 T, K]
        reduced = _damp(self.shared, damping) - self.mixed.reshape(-1, size).T @ eliminated
        step = solve(reduced, self.shared_moment - self.pose_moment.reshape(-1) @ eliminated, assume_a="sym")
        pose_step = inverse @ (self.pose_moment - self.mixed @ step)[..., None]
        return pose_step[..., 0], step[:-1].reshape(-1, 3), float(step[-1])


def _damp(matrix: Float[np.ndarray, "*T K K"], damping: float) -> Float[np.ndarray, "*T K K"]:
    """Increases the diagonal, because position, orientation and scale of head space are free, and so is a point that is
    never observed."""
    diagonal = np.diagonal(matrix, axis1=-2, axis2=-1)
    increase = damping * diagonal + 1e-9 * diagonal.mean()
    return matrix + increase[..., None] * np.eye(matrix.shape[-1])


def _normal_equations(
    points: Points,
    observed: Observed,
    information: Information,
    log_focal: float,
    poses: Poses,
    prior: BundlePrior,
) -> _NormalEquations:
    focal, num_frames, num_points = float(np.exp(log_focal)), len(poses), len(points)
    camera_points = poses.to_camera(points)
    projected = project_points(camera_points, focal)
    residual = (observed - projected)[..., None]
    robust_weights = huber_weights(mahalanobis_distances(residual[..., 0], information))
    weight = robust_weights[..., None, None] * information  # [T, N, 2, 2]
    by_pose, by_camera_point = pose_jacobian(camera_points, focal, poses)
    by_point = by_camera_point @ poses.rotation[:, None]  # [T, N, 2, 3]
    by_focal = projected[..., None]  # [T, N, 2, 1]

    def transposed(jacobian: np.ndarray) -> np.ndarray:
        return np.swapaxes(jacobian, -1, -2)

    def stack_points(jacobian: np.ndarray) -> np.ndarray:
        """Stacks all observations of a frame along the rows."""
        return jacobian.reshape(num_frames, 2 * num_points, -1)

    weighted_pose, weighted_point = weight @ by_pose, weight @ by_point
    weighted_focal, weighted_residual = weight @ by_focal, weight @ residual
    by_pose_transposed = transposed(stack_points(by_pose))  # [T, 6, 2 N]
    size = 3 * num_points + 1
    shared, mixed = np.zeros((size, size)), np.zeros((num_frames, 6, size))
    point_blocks = np.sum(transposed(by_point) @ weighted_point, axis=0)  # [N, 3, 3]
    point_blocks[:, 2, 2] += prior.depth_precision
    points_moment = np.sum(transposed(by_point) @ weighted_residual, axis=0)[..., 0]  # [N, 3]
    points_moment[:, 2] -= prior.depth_precision * (points[:, 2] - prior.depth)
    shared[:-1, :-1] = block_diag(*point_blocks)
    shared[:-1, -1] = shared[-1, :-1] = np.sum(transposed(by_point) @ weighted_focal, axis=0).reshape(-1)
    shared[-1, -1] = np.sum(weighted_focal * by_focal) + prior.log_focal_precision
    focal_moment = np.sum(weighted_focal * residual) - prior.log_focal_precision * (log_focal - prior.log_focal)
    mixed[..., :-1] = (transposed(by_pose) @ weighted_point).transpose(0, 2, 1, 3).reshape(num_frames, 6, -1)
    mixed[..., -1:] = by_pose_transposed @ stack_points(weighted_focal)
    return _NormalEquations(
        by_pose_transposed @ stack_points(weighted_pose),
        shared,
        mixed,
        (by_pose_transposed @ stack_points(weighted_residual))[..., 0],
        np.append(points_moment, focal_moment),
    )
