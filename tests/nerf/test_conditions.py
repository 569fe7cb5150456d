"""Clamping of the field's conditions and initialisation of its gates."""

from __future__ import annotations

import torch

from dfa_nerfstudio.data.attribute_track import AttributeTrack, FeatureKind
from dfa_nerfstudio.nerf.conditioned_field import ConditionedFieldConfig
from dfa_nerfstudio.nerf.conditions import ConditionNormalizer, Conditions, ConditionsConfig

REGIONS = torch.tensor(
    [
        [[0.0, -0.5, 0.0], [0.3, 0.2, 0.3]],
        [[-0.2, 0.1, 0.0], [0.1, 0.1, 0.3]],
        [[0.2, 0.1, 0.0], [0.1, 0.1, 0.3]],
    ]
)


def _track(count: int = 100) -> AttributeTrack:
    """A track with eyes closed in one frame of 50, and a head that moves aside as rarely."""
    torch.manual_seed(0)
    pose = torch.eye(4).repeat(count, 1, 1)
    pose[:, 0, 3] = 0.1 * torch.randn(count)
    eye = 0.02 * torch.randn(count, 2) + 1
    eye[::50] = 0.0
    pose[::50, 0, 3] = 2.0
    return AttributeTrack(
        pose,
        torch.zeros(count, 4),
        eye,
        torch.randn(count, 3),
        FeatureKind("eye-blink", 1, "test"),
        FeatureKind("synchronised-audio", 1, "test"),
    )


def test_rare_blinks_are_kept_and_rare_poses_are_clamped():
    track = _track()
    normalize = ConditionNormalizer(ConditionsConfig(pose_limit=2.0), track).eval()
    conditions = normalize(track)
    assert (conditions.eye[0] < -5).all(), "a closed eye is far from the mean of open eyes"
    assert float(conditions.pose.max()) == 2.0
    track.eye[0] = -3.0
    assert torch.equal(normalize(track).eye[0], conditions.eye[50]), (
        "eyes are clamped to the range of the training frames"
    )


def test_gates_are_initially_open_at_lips_and_eyelids_and_closed_elsewhere():
    field = ConditionedFieldConfig().setup(mouth_dim=3, eye_dim=2, regions=REGIONS)
    points = torch.tensor([[0.0, -0.5, 0.0], [-0.2, 0.1, 0.1], [0.2, 0.1, 0.0], [0.0, 0.6, 0.0], [0.9, -0.9, 0.0]])
    empty = [torch.zeros(1, size) for size in (3, 2, 12, 4)]
    gates = field(points, points, torch.zeros(5, dtype=torch.long), Conditions(*empty)).gates
    audio, eye = gates.unbind(-1)
    assert audio[0] > 0.9 and (audio[1:] < 0.1).all()
    assert (eye[1:3] > 0.9).all() and (eye[[0, 3, 4]] < 0.1).all()
    field.first.bias.data[field.config.width :] = 20.0  # learned logits that open every gate
    gates = field(points, points, torch.zeros(5, dtype=torch.long), Conditions(*empty)).gates
    assert gates[0, 0] > 0.99 and gates[4, 0] == 0 and (gates[[0, 4], 1] == 0).all(), (
        "gates are open beyond their cutoff"
    )
