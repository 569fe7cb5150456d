"""Blinks that are synthesised have the person's rate and depth."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dfa_nerfstudio.attributes.blink_statistics import BlinkStatistics
from dfa_nerfstudio.attributes.blink_synthesizer import BlinkSynthesizer
from tests.attributes.synthetic import smooth_noise, synthetic_clip


def _with_blinks(opening: torch.Tensor, statistics: BlinkStatistics, rate: float | None = None) -> torch.Tensor:
    return torch.cat(list(BlinkSynthesizer(statistics, torch.Generator().manual_seed(0), rate=rate).stream([opening])))


def test_streamed_blinks_are_equal():
    statistics = BlinkStatistics.from_opening(torch.from_numpy(synthetic_clip(1500).eye_opening))
    opening = torch.from_numpy(0.8 + 0.05 * smooth_noise(np.random.default_rng(3), 500, 5, 2)).float()
    whole = _with_blinks(opening, statistics)
    chunks = list(
        BlinkSynthesizer(statistics, torch.Generator().manual_seed(0)).stream(opening.split([3, 1, 90, 6, *[20] * 20]))
    )
    assert len(whole) == 500 and len(chunks) > 10
    torch.testing.assert_close(torch.cat(chunks), whole)


def test_blink_rate_is_as_requested():
    statistics = BlinkStatistics.from_opening(torch.from_numpy(synthetic_clip(1500).eye_opening))
    opening = torch.full((6000, 2), 0.8)
    for rate in (10.0, 40.0):
        assert len(BlinkStatistics.from_opening(_with_blinks(opening, statistics, rate=rate)).shapes) == pytest.approx(
            4 * rate, rel=0.25
        )
    assert _with_blinks(opening, statistics, rate=0).min() > 0.7


def test_blinks_have_the_persons_rate_and_depth():
    opening = torch.from_numpy(synthetic_clip(1500).eye_opening)
    statistics = BlinkStatistics.from_opening(opening)
    assert len(statistics.shapes) == len(range(20, 1500 - 20, 70))
    assert float(statistics.intervals.mean()) == pytest.approx(70, rel=0.05)
    noisy = torch.from_numpy(0.8 + 0.05 * smooth_noise(np.random.default_rng(3), 3000, 5, 2)).float()
    synthesized = _with_blinks(noisy, statistics)
    assert synthesized.min() >= 0 and synthesized.max() <= 1
    again = BlinkStatistics.from_opening(synthesized)
    assert len(again.shapes) == pytest.approx(3000 / 70, rel=0.25)
    closed = (opening.mean(-1) < 0.4).float().mean(), (synthesized.mean(-1) < 0.4).float().mean()
    assert closed[1] == pytest.approx(float(closed[0]), rel=0.35)


def test_without_training_blinks_eyes_stay_open():
    statistics = BlinkStatistics.from_opening(torch.full((400, 2), 0.8))
    synthesized = _with_blinks(torch.rand(300, 2), statistics, rate=20)
    assert len(statistics.shapes) == 0 and synthesized.min() > 0.79
