"""Landmark distances against values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dfa_nerfstudio.evaluation.landmark_distance import eye_distance, face_lmd, face_part_errors, lmd
from dfa_nerfstudio.face.topology import LANDMARKS_68


def test_lmd_is_invariant_to_position_and_measures_shape():
    truth = np.random.default_rng(0).uniform(0, 100, (3, 478, 2))
    np.testing.assert_allclose(lmd(truth + np.array([5, -3]), truth), 0, atol=1e-9)
    lips = LANDMARKS_68[48:68]
    moved = truth.copy()
    moved[:, lips[0], 0] += 20  # one of 20 points by 20 pixels: the centroid moves by 1
    np.testing.assert_allclose(lmd(moved, truth), (19 + 19 * 1) / 20)
    np.testing.assert_allclose(face_lmd(moved, truth), ((20 - 20 / 68) + 67 * 20 / 68) / 68)
    truth[:, [33, 263]] = [[10, 10], [13, 14]]
    np.testing.assert_allclose(eye_distance(truth), 5)


def test_upper_and_lower_face_errors_count_their_own_landmarks():
    truth = np.zeros((1, 68, 3))
    brow, jaw, nose = truth.copy(), truth.copy(), truth.copy()
    brow[:, 20, 1], jaw[:, 8, 1], nose[:, 30, 1] = 0.22, 0.37, 1.0
    assert [float(part[0]) for part in face_part_errors(brow, truth)] == pytest.approx([1.0, 0.0])  # 22 points
    assert [float(part[0]) for part in face_part_errors(jaw, truth)] == pytest.approx([0.0, 1.0])  # 37 points
    assert [float(part[0]) for part in face_part_errors(nose, truth)] == [0.0, 0.0]
