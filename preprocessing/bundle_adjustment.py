"""Poses, points and focal length that explain all sightings together (bundle adjustment)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dfa_nerfstudio.preprocessing.head_pose import (
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

    Points enter the normal equations only through their own 3x3 block and are eliminated (Schur complement), which
    leaves a dense system in 6 T + 1 unknowns. Unlike solving for poses and for points in turn, this follows the narrow
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
    """Blocks of J' W J and of J' W r; the K = 6 T + 1 unknowns of the cameras are poses and then log focal length."""

    cameras: Float[np.ndarray, "K K"]
    points: Float[np.ndarray, "N 3 3"]
    mixed: Float[np.ndarray, "K N 3"]
    camera_moment: Float[np.ndarray, " K"]
    point_moment: Float[np.ndarray, "N 3"]

    def solve(self, damping: float) -> tuple[Float[np.ndarray, "T 6"], Points, float]:
        """The step of poses, points and log focal length."""
        size = len(self.cameras)
        diagonal = np.einsum("naa->na", self.points)
        held = damping * diagonal + 1e-9 * diagonal.mean()  # a point that was never seen stays where it is
        inverse = np.linalg.inv(self.points + held[:, :, None] * np.eye(3))  # [N, 3, 3]
        through = np.einsum("knb,nbc->knc", self.mixed, inverse)  # [K, N, 3]
        reduced = self.cameras - through.reshape(size, -1) @ self.mixed.reshape(size, -1).T
        scale = np.diag(self.cameras)
        # position, orientation and scale of head space itself are free: a trace of damping holds them
        reduced = reduced + np.diag(damping * scale + 1e-9 * scale.mean())
        step = np.linalg.solve(reduced, self.camera_moment - np.einsum("knb,nb->k", through, self.point_moment))
        left = self.point_moment - np.einsum("knb,k->nb", self.mixed, step)
        return step[:-1].reshape(-1, 6), np.einsum("nbc,nc->nb", inverse, left), float(step[-1])


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
    residual = observed - project(camera, focal)
    weight = huber_weights(distances(residual, information))[..., None, None] * information  # [T, N, 2, 2]
    of_pose, of_camera = pose_jacobian(camera, focal, poses)
    of_point = of_camera @ poses.rotation[:, None]  # [T, N, 2, 3]
    of_focal = project(camera, focal)  # [T, N, 2]

    weighted_pose, weighted_point = weight @ of_pose, weight @ of_point
    weighted_focal = np.einsum("tnij,tnj->tni", weight, of_focal)
    size = 6 * frames + 1
    cameras, mixed, moment = np.zeros((size, size)), np.zeros((size, count, 3)), np.zeros(size)
    blocks = np.einsum("tnia,tnib->tab", weighted_pose, of_pose)
    for t in range(frames):
        cameras[6 * t : 6 * t + 6, 6 * t : 6 * t + 6] = blocks[t]
    cameras[:-1, -1] = cameras[-1, :-1] = np.einsum("tnia,tni->ta", weighted_pose, of_focal).reshape(-1)
    cameras[-1, -1] = np.sum(weighted_focal * of_focal)
    mixed[:-1] = np.einsum("tnia,tnib->tanb", weighted_pose, of_point).reshape(-1, count, 3)
    mixed[-1] = np.einsum("tni,tnib->nb", weighted_focal, of_point)
    moment[:-1] = np.einsum("tnia,tni->ta", weighted_pose, residual).reshape(-1)
    moment[-1] = np.sum(weighted_focal * residual)
    block = np.einsum("tnia,tnib->nab", weighted_point, of_point)
    point_moment = np.einsum("tnia,tni->na", weighted_point, residual)

    block[:, 2, 2] += prior.depth_precision
    point_moment[:, 2] -= prior.depth_precision * (points[:, 2] - prior.depth)
    cameras[-1, -1] += prior.log_focal_precision
    moment[-1] -= prior.log_focal_precision * (log_focal - prior.log_focal)
    return _NormalEquations(cameras, block, mixed, moment, point_moment)
