"""Motion metrics on motions with known values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dfa_nerfstudio.evaluation.motion.blink_rate import BlinkMetrics
from dfa_nerfstudio.evaluation.motion.boundary_jumps import max_boundary_jump
from dfa_nerfstudio.evaluation.motion.diversity import diversity
from dfa_nerfstudio.evaluation.motion.motion_energy import motion_energy
from dfa_nerfstudio.evaluation.motion.motion_identity import identity_accuracy
from dfa_nerfstudio.evaluation.motion.pose_axes import pose_axes
from dfa_nerfstudio.evaluation.motion.pose_error import pose_error, pose_range, wrap_angles
from dfa_nerfstudio.evaluation.motion.spectrum import spectral_distance
from dfa_nerfstudio.evaluation.motion.stillness import frozen_fraction, reference_step
from dfa_nerfstudio.evaluation.motion.training_range import out_of_range_fraction
from dfa_nerfstudio.evaluation.motion.unseen_poses import SeenPoses
from tests.attributes.synthetic import smooth_noise, synthetic_clip

FRAMES = 1500


@pytest.fixture
def own():
    """A smooth random motion."""
    return smooth_noise(np.random.default_rng(0), FRAMES, 12, 6) * [5, 4, 3, 0.2, 0.1, 0.1]


def test_pose_axes_are_yaw_pitch_roll_and_position():
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[0, :3, :3] = Rotation.from_euler("y", 20, degrees=True).as_matrix()
    poses[1, :3, :3] = Rotation.from_euler("x", -10, degrees=True).as_matrix()
    poses[2, :3, :3] = Rotation.from_euler("z", 5, degrees=True).as_matrix()
    poses[2, :3, 3] = 1, 2, -7
    expected = [[20, 0, 0, 0, 0, 0], [0, -10, 0, 0, 0, 0], [0, 0, 5, 1, 2, -7]]
    np.testing.assert_allclose(pose_axes(poses), expected, atol=1e-9)


def test_pose_error_is_relative_to_the_range(own):
    span = pose_range(own)
    shifted = own + span * [0.03, -0.03, 0.0, 0.1, 0.0, -0.2]
    assert pose_error(shifted, own, span) == pytest.approx((2.0, 10.0))
    assert pose_error(np.stack([own, own]), np.stack([own, shifted]), span) == pytest.approx((1.0, 5.0))


def test_angles_are_wrapped_to_those_of_the_reference():
    axes, reference = np.zeros((2, 6)), np.zeros((2, 6))
    axes[:, 0], reference[:, 0], axes[:, 3] = (350, -170), (-20, 175), 400
    wrapped = wrap_angles(axes, reference)
    np.testing.assert_allclose(wrapped[:, 0], [-10, 190])
    assert (wrapped[:, 3] == 400).all()


def test_energy_ignores_changes_across_cuts(own):
    shot = np.repeat([0, 1], [700, 800])
    cut = own + 50.0 * shot[:, None]
    assert motion_energy(cut, shot) == pytest.approx(motion_energy(own), rel=0.02)
    assert motion_energy(2 * own) == pytest.approx(4 * motion_energy(own))


def test_spectral_distance_measures_amplitude_and_frequency(own):
    assert spectral_distance(own, own) == 0
    noise = np.random.default_rng(2).normal(size=(FRAMES, 6))
    assert spectral_distance(2 * noise, noise) == pytest.approx(20 * np.log10(2))
    similar = smooth_noise(np.random.default_rng(1), FRAMES, 12, 6) * own.std(0)
    faster = smooth_noise(np.random.default_rng(1), FRAMES, 4, 6) * own.std(0)
    assert 3 * spectral_distance(similar, own) < spectral_distance(faster, own)


def test_frozen_fraction_is_the_share_of_still_frames(own):
    reference = reference_step(own)
    assert frozen_fraction(own, reference) < 0.05
    half = own.copy()
    half[: FRAMES // 2] = own[0]
    assert frozen_fraction(half, reference) == pytest.approx(0.5, abs=0.03)
    nodding = np.tile(own[:1], (FRAMES, 1))
    nodding[:, :3] = own[:, :3]
    assert frozen_fraction(nodding, reference) < 0.1


def test_diversity_is_0_for_equal_and_1_for_unrelated_motions(own):
    assert diversity([own, own], own) == 0
    unrelated = [smooth_noise(np.random.default_rng(seed), FRAMES, 12, 6) * own.std(0) for seed in range(1, 5)]
    assert diversity(unrelated, own) == pytest.approx(1.0, abs=0.2)


def test_only_jumps_at_boundaries_count(own):
    assert max_boundary_jump(own, [300, 600], own) < 1
    jump = own.copy()
    jump[600:, 2] += 3 * np.abs(np.diff(own[:, 2])).max()
    assert max_boundary_jump(jump, [300, 600], own) > 2
    assert max_boundary_jump(jump, [300, 601], own) < 1


def test_poses_may_be_unseen_within_the_range_of_each_axis():
    """The head always turns and moves sideways together; a quarter of the frames combine them the other way round."""
    time = np.linspace(0, 60, 1500)
    turn = np.sin(time)
    noise = 0.02 * np.random.default_rng(0).standard_normal((1500, 6))
    training = np.stack([10 * turn, *4 * [0 * turn], turn], 1) + noise
    seen = SeenPoses.from_training(training)
    own = 10 * np.sin(time + 0.01)
    moved = np.stack([own, *4 * [0 * own], own / 10], 1)
    assert seen.unseen_fraction(training) == 0 and seen.unseen_fraction(moved) < 0.05
    moved[1125:, [0, 5]] = 8, -0.8
    assert seen.unseen_fraction(moved) == pytest.approx(0.25, abs=0.04)
    assert np.isnan(SeenPoses.from_training(training[:40]).unseen_fraction(moved)), "too short to know"


def test_out_of_range_fraction_is_given_for_each_axis(own):
    training, later = own[:1000], own[:1000].copy()
    later[:250, 1] = training[:, 1].max() + 1
    assert out_of_range_fraction(later, training) == pytest.approx([0, 0.25, 0, 0, 0, 0])


def test_blink_rate_duration_and_depth_match_the_synthetic_clip():
    opening = synthetic_clip(FRAMES).eye_opening  # one blink in 70 frames
    blinks = BlinkMetrics.from_openings(opening)
    assert blinks.rate == pytest.approx(25 / 70, rel=0.06)
    assert 0.1 < blinks.duration < 0.5 and blinks.depth < 0.3
    assert BlinkMetrics.from_openings(np.full((200, 2), 0.8)).rate == 0


def test_identity_accuracy_excludes_neighbours_from_the_same_clip():
    rng = np.random.default_rng(0)
    centres = {"a": (0, 0), "b": (4, 0), "c": (0, 4)}
    recorded = [("a", 1), ("a", 2), ("b", 3), ("b", 4), ("c", 5)]
    people, clips = zip(*[(who, f"clip {number}") for who, number in recorded for _ in range(20)], strict=True)
    points = np.array([centres[who] for who in people]) + 0.3 * rng.normal(size=(100, 2))
    assert identity_accuracy(points, people, clips) == 1
    by_clip = np.array([10 * int(clip[-1]) for clip in clips])[:, None] + 0.3 * rng.normal(size=(100, 2))
    assert identity_accuracy(by_clip, people, clips) < 0.7  # clips are far apart, people are not
