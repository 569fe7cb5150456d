"""Pose and shape solvers on points whose answer is known; smoothing against a dense solution."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dfa_nerfstudio.preprocessing.face_topology import LANDMARKS_68, NUM_LANDMARKS, OUTER_EYE_CORNERS, RIGID
from dfa_nerfstudio.preprocessing.head_fit import canonical, fit_head
from dfa_nerfstudio.preprocessing.head_pose import Poses, back_project, project, solve_poses
from dfa_nerfstudio.preprocessing.smoothing import smooth_track

FOCAL = 2.2


def face(rng: np.random.Generator) -> np.ndarray:
    """A bulging cloud of 478 points in head space."""
    points = rng.uniform([-0.8, -0.8, 0], [0.8, 0.6, 0], (NUM_LANDMARKS, 3))
    left, right = OUTER_EYE_CORNERS
    points[left], points[right] = [-0.5, 0, 0], [0.5, 0, 0]
    points[:, 2] = 0.45 - 0.8 * (points[:, :2] ** 2).sum(1) + rng.normal(0, 0.08, NUM_LANDMARKS)
    shape, _ = canonical(points, Poses(np.eye(3)[None], np.zeros((1, 3))))
    return shape


def motion(rng: np.random.Generator, frames: int) -> Poses:
    """A head that looks around: yaw to 20 degrees, pitch to 12."""
    time = np.linspace(0, 12, frames)
    angles = np.stack([12 * np.sin(time), 20 * np.sin(0.7 * time + 1), 6 * np.sin(1.3 * time)], -1)
    rotation = Rotation.from_rotvec(np.radians(angles)).as_matrix()
    mean = Rotation.from_matrix(rotation).mean().as_matrix()
    shift = np.stack([0.3 * np.sin(time), 0.2 * np.cos(time), -7 + 0.3 * np.sin(0.5 * time)], -1)
    return Poses(rotation @ mean.T, shift)


def as_mediapipe(camera: np.ndarray, focal: float) -> np.ndarray:
    """Points in camera space as the tracker would give them: y down, z away and in weak perspective."""
    scale = focal / -camera[..., 2].mean(1)
    seen = project(camera, focal)
    z = -(camera[..., 2] - camera[:, RIGID, 2].mean(1, keepdims=True)) * scale[:, None]
    return np.stack([0.5 + seen[..., 0], 0.5 - seen[..., 1], z], -1)


def angle(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Degrees between rotations."""
    return np.degrees(Rotation.from_matrix(first.transpose(0, 2, 1) @ second).magnitude())


def test_pose_of_a_known_shape_is_exact_in_spite_of_outliers() -> None:
    rng = np.random.default_rng(0)
    shape, truth = face(rng)[RIGID], motion(rng, 60)
    seen = project(truth.to_camera(shape), FOCAL)
    seen[::3, ::20] += 0.2  # a few points are far off in every third frame
    start = Poses(np.tile(np.eye(3), (60, 1, 1)), np.tile([0.0, 0.0, -6.0], (60, 1)))
    found = solve_poses(shape, seen, FOCAL, start, huber=1e-3, iterations=60)
    assert angle(found.rotation, truth.rotation).max() < 0.2
    assert np.abs(found.translation - truth.translation).max() < 0.03
    clean = np.arange(60) % 3 != 0
    assert angle(found.rotation, truth.rotation)[clean].max() < 1e-3


def test_head_shape_and_pose_are_recovered_from_tracker_like_landmarks() -> None:
    rng = np.random.default_rng(1)
    shape, truth = face(rng), motion(rng, 250)
    landmarks = as_mediapipe(truth.to_camera(shape), FOCAL)
    landmarks[..., :2] += rng.normal(0, 5e-4, (*landmarks.shape[:2], 2))  # a quarter pixel of 512
    head = fit_head(landmarks)
    assert FOCAL / 1.25 < head.focal < FOCAL * 1.25
    assert head.shape[RIGID].mean(0) == pytest.approx(0, abs=1e-9)
    left, right = OUTER_EYE_CORNERS
    assert np.linalg.norm(head.shape[left] - head.shape[right]) == pytest.approx(1)
    poses = head.poses(landmarks)
    assert np.median(angle(poses.rotation, truth.rotation)) < 0.5
    assert head.errors(landmarks, poses).mean() < 1e-3
    lifted = back_project(project(truth.to_camera(shape), FOCAL)[:, LANDMARKS_68], shape[LANDMARKS_68], FOCAL, truth)
    assert lifted == pytest.approx(np.broadcast_to(shape[LANDMARKS_68], lifted.shape), abs=1e-9)


def test_smoothing_equals_the_dense_solution_and_bridges_lost_frames() -> None:
    rng = np.random.default_rng(2)
    count, width = 25, 3
    values = np.cumsum(rng.normal(size=(count, width)), axis=0)
    factors = rng.normal(size=(count, width, width))
    information = factors @ factors.transpose(0, 2, 1)
    information[10:13] = 0
    values[10:13] = 1e3  # must not matter
    second = np.kron(np.diff(np.eye(count), 2, axis=0), np.eye(width))
    dense = second.T @ second / 0.3**2
    for t in range(count):
        dense[t * width : (t + 1) * width, t * width : (t + 1) * width] += information[t]
    moment = np.einsum("tij,tj->ti", information, values).reshape(-1)
    expected = np.linalg.solve(dense, moment).reshape(count, width)
    assert smooth_track(values, information, 0.3) == pytest.approx(expected, abs=1e-8)
