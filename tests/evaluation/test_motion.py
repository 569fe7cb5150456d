"""Motion metrics on motions whose figures are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dfa_nerfstudio.evaluation.motion.blink_rate import Blinking
from dfa_nerfstudio.evaluation.motion.diversity import diversity
from dfa_nerfstudio.evaluation.motion.motion_energy import motion_energy
from dfa_nerfstudio.evaluation.motion.motion_identity import identity_accuracy
from dfa_nerfstudio.evaluation.motion.pose_axes import pose_axes
from dfa_nerfstudio.evaluation.motion.pose_error import pose_error, pose_range
from dfa_nerfstudio.evaluation.motion.seams import worst_seam
from dfa_nerfstudio.evaluation.motion.spectrum import spectrum_distance
from dfa_nerfstudio.evaluation.motion.stillness import frozen_fraction, usual_step
from dfa_nerfstudio.evaluation.motion.training_range import outside_share
from tests.attributes.synthetic import smooth_noise, synthetic_clip

FRAMES = 1500


@pytest.fixture
def own():
    return smooth_noise(np.random.default_rng(0), FRAMES, 12, 6) * [5, 4, 3, 0.2, 0.1, 0.1]


def test_axes_are_yaw_pitch_roll_and_place():
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


def test_energy_leaves_cuts_out(own):
    shot = np.repeat([0, 1], [700, 800])
    cut = own + 50.0 * shot[:, None]
    assert motion_energy(cut, shot) == pytest.approx(motion_energy(own), rel=0.02)
    assert motion_energy(2 * own) == pytest.approx(4 * motion_energy(own))


def test_spectra_tell_amplitude_and_rate(own):
    assert spectrum_distance(own, own) == 0
    trembling = np.random.default_rng(2).normal(size=(FRAMES, 6))
    assert spectrum_distance(2 * trembling, trembling) == pytest.approx(20 * np.log10(2))
    likewise = smooth_noise(np.random.default_rng(1), FRAMES, 12, 6) * own.std(0)
    faster = smooth_noise(np.random.default_rng(1), FRAMES, 4, 6) * own.std(0)
    assert 3 * spectrum_distance(likewise, own) < spectrum_distance(faster, own)


def test_who_stands_still_is_frozen(own):
    usual = usual_step(own)
    assert frozen_fraction(own, usual) < 0.05
    half = own.copy()
    half[: FRAMES // 2] = own[0]
    assert frozen_fraction(half, usual) == pytest.approx(0.5, abs=0.03)
    nodding = np.tile(own[:1], (FRAMES, 1))
    nodding[:, :3] = own[:, :3]
    assert frozen_fraction(nodding, usual) < 0.1


def test_diversity_goes_from_none_to_that_of_strangers(own):
    assert diversity([own, own], own) == 0
    strangers = [smooth_noise(np.random.default_rng(seed), FRAMES, 12, 6) * own.std(0) for seed in range(1, 5)]
    assert diversity(strangers, own) == pytest.approx(1.0, abs=0.2)


def test_a_jump_at_a_border_is_seen(own):
    assert worst_seam(own, [300, 600], own) < 1
    jump = own.copy()
    jump[600:, 2] += 3 * np.abs(np.diff(own[:, 2])).max()
    assert worst_seam(jump, [300, 600], own) > 2
    assert worst_seam(jump, [300, 601], own) < 1


def test_where_the_person_never_was(own):
    training, later = own[:1000], own[:1000].copy()
    later[:250, 1] = training[:, 1].max() + 1
    assert outside_share(later, training) == pytest.approx([0, 0.25, 0, 0, 0, 0])


def test_blinks_are_counted_and_timed():
    opening = synthetic_clip(FRAMES).eye_opening  # one blink in 70 frames
    seen = Blinking.of(opening)
    assert seen.rate == pytest.approx(25 / 70, rel=0.06)
    assert 0.1 < seen.duration < 0.5 and seen.depth < 0.3
    assert Blinking.of(np.full((200, 2), 0.8)).rate == 0


def test_identity_is_asked_of_other_films():
    rng = np.random.default_rng(0)
    centres = {"a": (0, 0), "b": (4, 0), "c": (0, 4)}
    films = [("a", 1), ("a", 2), ("b", 3), ("b", 4), ("c", 5)]
    people, clips = zip(*[(who, f"film {film}") for who, film in films for _ in range(20)], strict=True)
    points = np.array([centres[who] for who in people]) + 0.3 * rng.normal(size=(100, 2))
    assert identity_accuracy(points, people, clips) == 1
    of_film = np.array([10 * int(clip[-1]) for clip in clips])[:, None] + 0.3 * rng.normal(size=(100, 2))
    assert identity_accuracy(of_film, people, clips) < 0.7  # films are far apart, people are not told
