"""What the field is told about a moment, and where it counts."""

from __future__ import annotations

import torch

from dfa_nerfstudio.data.attribute_track import AttributeTrack, FeatureKind
from dfa_nerfstudio.nerf.conditioned_field import ConditionedFieldConfig
from dfa_nerfstudio.nerf.conditions import ConditionNormaliser, Conditions, ConditionsConfig

REGIONS = torch.tensor(
    [
        [[0.0, -0.5, 0.0], [0.3, 0.2, 0.3]],
        [[-0.2, 0.1, 0.0], [0.1, 0.1, 0.3]],
        [[0.2, 0.1, 0.0], [0.1, 0.1, 0.3]],
    ]
)


def _track(count: int = 100) -> AttributeTrack:
    """Eyes that are shut in one frame of fifty, and a head that turns aside as seldom."""
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


def test_a_rare_blink_reaches_the_field_and_a_rare_posture_is_drawn_back():
    track = _track()
    normalise = ConditionNormaliser(ConditionsConfig(limit=2.0), track).eval()
    seen = normalise(track, torch.zeros(100, 0))
    assert (seen.eye[0] < -5).all(), "a shut eye is far from the mean of open ones"
    assert float(seen.pose.max()) == 2.0
    track.eye[0] = -3.0
    assert torch.equal(normalise(track, torch.zeros(100, 0)).eye[0], seen.eye[50]), "none is shut further than shut"


def test_gates_begin_open_where_landmarks_put_lips_and_lids_and_shut_elsewhere():
    field = ConditionedFieldConfig().setup(audio_dim=3, eye_dim=2, appearance_dim=0, regions=REGIONS)
    places = torch.tensor([[0.0, -0.5, 0.0], [-0.2, 0.1, 0.1], [0.2, 0.1, 0.0], [0.0, 0.6, 0.0], [0.9, -0.9, 0.0]])
    rows = [torch.zeros(1, size) for size in (3, 2, 12, 4, 0)]
    gates = field(places, places, torch.zeros(5, dtype=torch.long), Conditions(*rows)).gates
    audio, eye = gates.unbind(-1)
    assert audio[0] > 0.9 and (audio[1:] < 0.1).all()
    assert (eye[1:3] > 0.9).all() and (eye[[0, 3, 4]] < 0.1).all()
    field.first.bias.data[field.config.width :] = 20.0  # whatever is learnt
    gates = field(places, places, torch.zeros(5, dtype=torch.long), Conditions(*rows)).gates
    assert gates[0, 0] > 0.99 and gates[4, 0] == 0 and (gates[[0, 4], 1] == 0).all(), "gates open where they must not"
