"""Codes that follow the film's time."""

from __future__ import annotations

import torch

from dfa_nerfstudio.nerf.appearance_code import Appearance, AppearanceConfig


def test_codes_are_mixed_by_time_and_the_end_is_shown_of_everything_else():
    used = torch.cat([torch.arange(10, 40), torch.arange(60, 111)])  # frames of a film; the face was lost in between
    appearance = Appearance(AppearanceConfig(dim=2, seconds=2.0), used)  # 100 frames: codes at frames 10, 60 and 110
    with torch.no_grad():
        appearance.codes.copy_(torch.tensor([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]]))
    of = {int(frame): index for index, frame in enumerate(used)}
    got = appearance(torch.tensor([of[10], of[35], of[60], of[85], of[110]]), 5)
    torch.testing.assert_close(got, torch.tensor([[0.0, 0.0], [0.5, 1.0], [1.0, 2.0], [2.0, 3.0], [3.0, 4.0]]))
    end = appearance(torch.arange(len(used) - 50, len(used)), 50)
    torch.testing.assert_close(appearance(None, 2), end.mean(0).expand(2, -1))
    appearance.config.neutral = "mean"
    everything = appearance(torch.arange(len(used)), len(used))
    torch.testing.assert_close(appearance(None, 1)[0], everything.mean(0))


def test_every_frame_can_have_a_code_of_its_own():
    appearance = Appearance(AppearanceConfig(dim=2, seconds=0.0), torch.arange(5, 12))
    assert appearance.codes.shape == (7, 2)
    assert torch.equal(appearance(torch.tensor([6]), 1)[0], appearance.codes[6])
