"""The paper's network and its options."""

from __future__ import annotations

import torch

from dfa_nerfstudio.nerf.conditioned_field import FieldOutput
from dfa_nerfstudio.nerf.conditions import Conditions
from dfa_nerfstudio.nerf.paper_field import PaperField, PaperFieldConfig


def _query(config: PaperFieldConfig, head: torch.Tensor, torso: torch.Tensor) -> FieldOutput:
    torch.manual_seed(0)
    field = PaperField(config, mouth_dim=4, eye_dim=3, regions=torch.zeros(3, 2, 3))
    conditions = Conditions(*(torch.randn(1, width) for width in (4, 3, 12, 4)))
    return field(head, torso, torch.zeros(len(head), dtype=torch.long), conditions)


def test_bfloat16_changes_outputs_by_rounding_only():
    points = torch.rand(500, 3) * 2 - 1
    full, half = (_query(PaperFieldConfig(bfloat16=chosen), points, points) for chosen in (False, True))
    assert half.rgb.dtype == half.density.dtype == torch.float32
    assert 0 < (full.rgb - half.rgb).abs().max() < 0.01
    assert (full.density - half.density).abs().max() < 0.03


def test_torso_points_change_the_density_only_with_torso_space():
    points = torch.rand(50, 3) * 2 - 1
    for enabled in (False, True):
        config = PaperFieldConfig(torso_space=enabled)
        changed = _query(config, points, points + 0.3).density != _query(config, points, points).density
        assert bool(changed.all()) is enabled and bool(changed.any()) is enabled
