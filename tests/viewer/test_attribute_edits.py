"""Each slider moves its own attribute."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from dfa_nerfstudio.data.attribute_track import AttributeTrack, FeatureKind
from dfa_nerfstudio.viewer.attribute_edits import NECK, Edits

ATTRIBUTES = ("head_to_camera", "torso_motion", "eye", "audio")


@pytest.fixture
def track() -> AttributeTrack:
    torch.manual_seed(0)
    pose = torch.eye(4).repeat(5, 1, 1)
    pose[:, :3, :3] = torch.from_numpy(Rotation.random(5, random_state=0).as_matrix()).float()
    pose[:, :3, 3] = torch.randn(5, 3)
    kinds = FeatureKind("eye-blink", 1, "t"), FeatureKind("synchronised-audio", 1, "t")
    return AttributeTrack(pose, torch.randn(5, 4), torch.randn(5, 3), torch.randn(5, 6), *kinds)


@pytest.mark.parametrize(
    ("edits", "moved"),
    [
        (Edits(), None),
        (Edits(eyes=0.3), "eye"),
        (Edits(mouth=0.5), "audio"),
        (Edits(turn=10), "head_to_camera"),
        (Edits(tilt=-5), "head_to_camera"),
    ],
)
def test_one_attribute_moves_and_the_others_do_not(track: AttributeTrack, edits: Edits, moved: str | None):
    changed = edits.apply(track, torch.ones(6), lambda opening: opening.repeat(1, 2)[:, :3])
    for name in ATTRIBUTES:
        same = torch.equal(getattr(changed, name), getattr(track, name))
        assert same == (name != moved), name


def test_eyes_and_mouth_are_what_is_asked_for(track: AttributeTrack):
    changed = Edits(eyes=0.3, mouth=0.0).apply(track, torch.arange(6.0), lambda opening: opening.repeat(1, 2)[:, :3])
    assert torch.equal(changed.eye, torch.full((5, 3), 0.3))
    torch.testing.assert_close(changed.audio, torch.arange(6.0).expand(5, -1))
    twice = Edits(mouth=2.0).apply(track, torch.ones(6))
    torch.testing.assert_close(twice.audio - 1, 2 * (track.audio - 1))


def test_a_head_turns_about_its_neck_and_looks_where_it_is_told(track: AttributeTrack):
    for edits, towards in ((Edits(turn=90), [1.0, 0.0, 0.0]), (Edits(tilt=90), [0.0, 1.0, 0.0])):
        changed = edits.apply(track)
        turn = torch.linalg.inv(track.head_to_camera) @ changed.head_to_camera  # in head space
        neck, nose = torch.tensor([*NECK, 1.0]), torch.tensor([0.0, 0.0, 1.0])
        torch.testing.assert_close(turn @ neck, neck.expand(5, -1), atol=1e-5, rtol=0)
        np.testing.assert_allclose(turn[0, :3, :3] @ nose, towards, atol=1e-6)
