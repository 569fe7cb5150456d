"""Appearance codes are interpolated along the video's time."""

from __future__ import annotations

import torch

from dfa_nerfstudio.nerf.appearance_code import AppearanceCode, AppearanceConfig


def test_codes_are_interpolated_by_time_and_the_neutral_code_is_the_mean_of_the_end():
    used = torch.cat([torch.arange(10, 40), torch.arange(60, 111)])  # frames of a video; the face was lost in between
    appearance = AppearanceCode(
        AppearanceConfig(dim=2, interval_seconds=2.0), used
    )  # 100 frames: codes at frames 10, 60 and 110
    with torch.no_grad():
        appearance.codes.copy_(torch.tensor([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]]))
    row = {int(frame): index for index, frame in enumerate(used)}
    got = appearance(torch.tensor([row[10], row[35], row[60], row[85], row[110]]), 5)
    torch.testing.assert_close(got, torch.tensor([[0.0, 0.0], [0.5, 1.0], [1.0, 2.0], [2.0, 3.0], [3.0, 4.0]]))
    end = appearance(torch.arange(len(used) - 50, len(used)), 50)
    torch.testing.assert_close(appearance(None, 2), end.mean(0).expand(2, -1))
    appearance.config.neutral = "mean"
    everything = appearance(torch.arange(len(used)), len(used))
    torch.testing.assert_close(appearance(None, 1)[0], everything.mean(0))


def test_interval_zero_gives_every_frame_its_own_code():
    appearance = AppearanceCode(AppearanceConfig(dim=2, interval_seconds=0.0), torch.arange(5, 12))
    assert appearance.codes.shape == (7, 2)
    assert torch.equal(appearance(torch.tensor([6]), 1)[0], appearance.codes[6])
