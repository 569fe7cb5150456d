"""The paper's network, and what it can be given beside."""

from __future__ import annotations

import torch

from dfa_nerfstudio.nerf.conditioned_field import FieldOutput
from dfa_nerfstudio.nerf.conditions import Conditions
from dfa_nerfstudio.nerf.paper_field import PaperField, PaperFieldConfig


def _look(config: PaperFieldConfig, head: torch.Tensor, torso: torch.Tensor) -> FieldOutput:
    torch.manual_seed(0)
    field = PaperField(config, audio_dim=4, eye_dim=3, appearance_dim=0, regions=torch.zeros(3, 2, 3))
    conditions = Conditions(*(torch.randn(1, width) for width in (4, 3, 12, 4, 0)))
    return field(head, torso, torch.zeros(len(head), dtype=torch.long), conditions)


def test_bfloat16_differs_by_rounding():
    places = torch.rand(500, 3) * 2 - 1
    whole, half = (_look(PaperFieldConfig(bfloat16=chosen), places, places) for chosen in (False, True))
    assert half.rgb.dtype == half.density.dtype == torch.float32
    assert 0 < (whole.rgb - half.rgb).abs().max() < 0.01
    assert (whole.density - half.density).abs().max() < 0.03


def test_only_with_torso_space_does_the_torsos_place_count():
    places = torch.rand(50, 3) * 2 - 1
    for given in (False, True):
        config = PaperFieldConfig(torso_space=given)
        moved = _look(config, places, places + 0.3).density != _look(config, places, places).density
        assert bool(moved.all()) is given and bool(moved.any()) is given
