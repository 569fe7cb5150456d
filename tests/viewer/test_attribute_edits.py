"""Attribute edits: each slider changes its own attribute only."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from dfa_nerfstudio.data.attribute_track import AttributeTrack, FeatureKind
from dfa_nerfstudio.viewer.attribute_edits import NECK_PIVOT, AttributeEdits

ATTRIBUTES = ("head_to_camera", "torso_motion", "eye", "mouth")


@pytest.fixture
def track() -> AttributeTrack:
    torch.manual_seed(0)
    pose = torch.eye(4).repeat(5, 1, 1)
    pose[:, :3, :3] = torch.from_numpy(Rotation.random(5, random_state=0).as_matrix()).float()
    pose[:, :3, 3] = torch.randn(5, 3)
    kinds = FeatureKind("eye-blink", 1, "t"), FeatureKind("synchronised-audio", 1, "t")
    return AttributeTrack(pose, torch.randn(5, 4), torch.randn(5, 3), torch.randn(5, 6), *kinds)


@pytest.mark.parametrize(
    ("edits", "changed"),
    [
        (AttributeEdits(), None),
        (AttributeEdits(eye_opening=0.3), "eye"),
        (AttributeEdits(mouth_amplitude=0.5), "mouth"),
        (AttributeEdits(yaw=10), "head_to_camera"),
        (AttributeEdits(pitch=-5), "head_to_camera"),
    ],
)
def test_one_attribute_changes_and_the_others_do_not(track: AttributeTrack, edits: AttributeEdits, changed: str | None):
    edited = edits.apply(track, torch.ones(6), lambda opening: opening.repeat(1, 2)[:, :3])
    for name in ATTRIBUTES:
        same = torch.equal(getattr(edited, name), getattr(track, name))
        assert same == (name != changed), name


def test_eyes_and_mouth_take_the_given_values(track: AttributeTrack):
    edits = AttributeEdits(eye_opening=0.3, mouth_amplitude=0.0)
    edited = edits.apply(track, torch.arange(6.0), lambda opening: opening.repeat(1, 2)[:, :3])
    assert torch.equal(edited.eye, torch.full((5, 3), 0.3))
    torch.testing.assert_close(edited.mouth, torch.arange(6.0).expand(5, -1))
    doubled = AttributeEdits(mouth_amplitude=2.0).apply(track, torch.ones(6))
    torch.testing.assert_close(doubled.mouth - 1, 2 * (track.mouth - 1))


def test_the_head_rotates_about_its_neck_in_the_right_direction(track: AttributeTrack):
    for edits, direction in ((AttributeEdits(yaw=90), [1.0, 0.0, 0.0]), (AttributeEdits(pitch=90), [0.0, 1.0, 0.0])):
        edited = edits.apply(track)
        rotation = torch.linalg.inv(track.head_to_camera) @ edited.head_to_camera  # in head space
        neck, nose = torch.tensor([*NECK_PIVOT, 1.0]), torch.tensor([0.0, 0.0, 1.0])
        torch.testing.assert_close(rotation @ neck, neck.expand(5, -1), atol=1e-5, rtol=0)
        np.testing.assert_allclose(rotation[0, :3, :3] @ nose, direction, atol=1e-6)
