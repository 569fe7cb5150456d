"""Pose and shape solvers on points with a known solution; smoothing against a dense solver."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dfa_nerfstudio.face.head_pose import Poses, back_project, project_points, solve_poses
from dfa_nerfstudio.face.head_shape import HeadSpace, align_points, landmark_poses, procrustes_mean, to_opengl_axes
from dfa_nerfstudio.face.topology import LANDMARKS_68, NUM_MESH_LANDMARKS, OUTER_EYE_CORNERS, RIGID
from dfa_nerfstudio.preprocessing.head.bundle_adjustment import BundlePrior, bundle_adjust
from dfa_nerfstudio.preprocessing.motion_smoothing import MotionSmoother

FOCAL = 2.2


def face(rng: np.random.Generator) -> np.ndarray:
    """Returns a convex cloud of 478 points in head space."""
    points = rng.uniform([-0.8, -0.8, 0], [0.8, 0.6, 0], (NUM_MESH_LANDMARKS, 3))
    left, right = OUTER_EYE_CORNERS
    points[left], points[right] = [-0.5, 0, 0], [0.5, 0, 0]
    points[:, 2] = 0.45 - 0.8 * (points[:, :2] ** 2).sum(1) + rng.normal(0, 0.08, NUM_MESH_LANDMARKS)
    return HeadSpace.from_landmarks(points).transform_points(points)


def motion(rng: np.random.Generator, frames: int) -> Poses:
    """Returns poses of a moving head, with yaw up to 20 degrees and pitch up to 12."""
    time = np.linspace(0, 12, frames)
    angles = np.stack([12 * np.sin(time), 20 * np.sin(0.7 * time + 1), 6 * np.sin(1.3 * time)], -1)
    rotation = Rotation.from_rotvec(np.radians(angles)).as_matrix()
    mean = Rotation.from_matrix(rotation).mean().as_matrix()
    shift = np.stack([0.3 * np.sin(time), 0.2 * np.cos(time), -7 + 0.3 * np.sin(0.5 * time)], -1)
    return Poses(rotation @ mean.T, shift)


def as_mediapipe(camera: np.ndarray, focal: float) -> np.ndarray:
    """Converts points in camera space to the tracker's convention: y down, z away, weak perspective."""
    scale = focal / -camera[..., 2].mean(1)
    seen = project_points(camera, focal)
    z = -(camera[..., 2] - camera[:, RIGID, 2].mean(1, keepdims=True)) * scale[:, None]
    return np.stack([0.5 + seen[..., 0], 0.5 - seen[..., 1], z], -1)


def angle(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the angle between rotations, in degrees."""
    return np.degrees(Rotation.from_matrix(first.transpose(0, 2, 1) @ second).magnitude())


def uniform_information(deviation: float, frames: int, points: int) -> np.ndarray:
    """Returns the information of observations with the same standard deviation."""
    return np.tile(np.eye(2) / deviation**2, (frames, points, 1, 1))


def test_pose_of_a_known_shape_is_exact_despite_outliers() -> None:
    rng = np.random.default_rng(0)
    shape, truth = face(rng)[RIGID], motion(rng, 60)
    seen = project_points(truth.to_camera(shape), FOCAL)
    seen[::3, ::20] += 0.2  # outliers in every third frame
    start = Poses(np.tile(np.eye(3), (60, 1, 1)), np.tile([0.0, 0.0, -6.0], (60, 1)))
    found = solve_poses(shape, seen, uniform_information(5e-4, 60, len(shape)), FOCAL, start, iterations=60)
    assert angle(found.rotation, truth.rotation).max() < 0.2
    assert np.abs(found.translation - truth.translation).max() < 0.03
    clean = np.arange(60) % 3 != 0
    assert angle(found.rotation, truth.rotation)[clean].max() < 1e-3


def test_bundle_adjustment_recovers_depth_rotation_and_focal_length_from_a_wrong_start() -> None:
    rng = np.random.default_rng(1)
    frames, noise = 80, 1e-4
    shape, truth = face(rng)[::4], motion(rng, frames)
    seen = project_points(truth.to_camera(shape), FOCAL)
    observed = seen + rng.normal(0, noise, seen.shape)
    observed[rng.random(observed.shape[:2]) < 0.02] += 0.05
    information = uniform_information(noise, frames, len(shape))
    information[:, :5][rng.random((frames, 5)) < 0.5] = 0  # hidden in half of the frames
    # errors of a typical tracker: a head 1.5 times too deep, too small rotations, too short a focal length
    flat = shape * [1, 1, 1.5]
    less = Rotation.from_matrix(truth.rotation).as_rotvec() * [0.8, 0.8, 1.0]
    start = Poses(Rotation.from_rotvec(less).as_matrix(), truth.translation * [1, 1, 1.4 / FOCAL])
    prior = BundlePrior(flat[:, 2], 0.3, np.log(1.4), 0.5)
    points, poses, focal = bundle_adjust(flat, observed, information, 1.4, start, prior)
    assert focal == pytest.approx(FOCAL, rel=0.02)
    constant = Rotation.from_matrix(truth.rotation.transpose(0, 2, 1) @ poses.rotation).mean().as_matrix()
    assert np.median(angle(truth.rotation @ constant, poses.rotation)) < 0.1
    assert np.abs(align_points(points, shape, points) - shape).max() < 0.01


def test_head_space_does_not_depend_on_the_original_coordinates() -> None:
    rng = np.random.default_rng(2)
    shape, truth = face(rng), motion(rng, 50)
    left, right = OUTER_EYE_CORNERS
    assert np.linalg.norm(shape[left] - shape[right]) == pytest.approx(1)
    assert shape[RIGID].mean(0) == pytest.approx(0, abs=1e-9)
    turned = Rotation.from_rotvec([0.2, 0.7, 0.1]).as_matrix()
    elsewhere = 3 * shape @ turned.T + [1, 2, 3]
    space = HeadSpace.from_landmarks(elsewhere)
    assert space.transform_points(elsewhere) == pytest.approx(shape, abs=1e-9)
    shown = truth.to_camera(elsewhere)
    np.testing.assert_allclose(
        3 * space.transform_poses(truth).to_camera(space.transform_points(elsewhere)), shown, atol=1e-9
    )


def test_landmarks_alone_give_a_good_initial_pose() -> None:
    rng = np.random.default_rng(3)
    shape, truth = face(rng), motion(rng, 100)
    landmarks = as_mediapipe(truth.to_camera(shape), FOCAL)
    landmarks[..., :2] += rng.normal(0, 5e-4, (*landmarks.shape[:2], 2))  # a quarter pixel of 512
    seen = to_opengl_axes(landmarks)
    mean = procrustes_mean(seen)
    assert np.abs(mean - shape).max() < 0.1
    poses = landmark_poses(mean, seen, FOCAL)
    constant = Rotation.from_matrix(truth.rotation.transpose(0, 2, 1) @ poses.rotation).mean().as_matrix()
    assert np.median(angle(truth.rotation @ constant, poses.rotation)) < 1.5
    lifted = back_project(
        project_points(truth.to_camera(shape), FOCAL)[:, LANDMARKS_68], shape[LANDMARKS_68], FOCAL, truth
    )
    assert lifted == pytest.approx(np.broadcast_to(shape[LANDMARKS_68], lifted.shape), abs=1e-9)


def test_smoothing_equals_the_dense_solution_and_interpolates_lost_frames() -> None:
    rng = np.random.default_rng(2)
    count, width = 25, 3
    values = np.cumsum(rng.normal(size=(count, width)), axis=0)
    factors = rng.normal(size=(count, width, width))
    information = factors @ factors.transpose(0, 2, 1)
    information[10:13] = 0
    values[10:13] = 1e3  # must have no effect
    acceleration = np.array([0.3, 0.5, 0.7])
    second = np.kron(np.diff(np.eye(count), 2, axis=0), np.diag(1 / acceleration))
    dense = second.T @ second
    for t in range(count):
        dense[t * width : (t + 1) * width, t * width : (t + 1) * width] += information[t] / 2
    moment = np.einsum("tij,tj->ti", information / 2, values).reshape(-1)
    found, deviation = MotionSmoother(2.0, acceleration).smooth(values, information)
    assert found == pytest.approx(np.linalg.solve(dense, moment).reshape(count, width), abs=1e-8)
    assert deviation == pytest.approx(np.sqrt(np.diag(np.linalg.inv(dense))).reshape(count, width), rel=1e-8)
    assert deviation[11].min() > deviation[5].max()


def test_smoother_estimates_the_noise_and_a_calibrated_deviation() -> None:
    rng = np.random.default_rng(4)
    count, deviations = 3000, np.array([0.02, 0.06])
    truth = np.cumsum(np.cumsum(rng.normal(0, [0.01, 0.03], (count, 2)), 0), 0)
    values = truth + rng.normal(0, deviations, truth.shape)
    information = np.tile(np.diag(4 / deviations**2), (count, 1, 1))  # claims half of the true deviation
    segments = [slice(0, 1400), slice(1400, count)]
    smoother = MotionSmoother.fit(values, information, segments, (slice(0, 1), slice(1, 2)))
    assert smoother.noise == pytest.approx(4, rel=0.1)
    assert smoother.acceleration == pytest.approx([0.01, 0.03], rel=0.5)
    found, deviation = smoother.smooth(values, information)
    error = found - truth
    assert (error.std(0) < 0.75 * deviations).all()
    assert (error / deviation).std(0) == pytest.approx(1, abs=0.2)
