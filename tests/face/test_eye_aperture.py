"""Eye and mouth opening and blinks, against the demo subject's ground truth and synthetic curves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.face.eye_aperture import find_blinks, smooth_robust
from dfa_nerfstudio.media.timeline import Timeline
from dfa_nerfstudio.preprocessing.process_config import ProcessConfig
from dfa_nerfstudio.preprocessing.process_video import process_video


def opening_with_dips(length: int, *dips: tuple[int, int, float]) -> np.ndarray:
    """Opening of one eye, 0.9 at rest, with dips (first frame, number of frames, opening).

    Each dip falls within 2 frames before its first frame and rises within 3 frames after its last.
    """
    frames, opening = np.arange(length), np.full(length, 0.9)
    for first, count, low in dips:
        shape = np.interp(frames, [first - 3, first - 1, first + count, first + count + 3], [0.9, low, low, 0.9])
        opening = np.minimum(opening, shape)
    return opening


def test_only_blinks_are_found() -> None:
    left = opening_with_dips(
        500, (50, 2, 0.05), (58, 1, 0.1), (100, 3, 0.6), (150, 30, 0.0), (220, 2, 0.1), (300, 40, 0.4)
    )
    right = opening_with_dips(500, (50, 2, 0.05), (58, 1, 0.1), (100, 3, 0.6), (150, 30, 0.0), (300, 40, 0.4))
    both = opening_with_dips(500, (320, 2, 0.05), (400, 2, 0.05), (449, 2, 0.05), (497, 2, 0.0))
    opening = np.stack([np.minimum(left, both), np.minimum(right, both)], -1)
    found = np.ones(500, bool)
    timeline = Timeline.from_cuts(500, 450, cuts=[401])
    # Blinks: two in quick succession, one from half-closed eyes, one across the border of the training frames. No
    # blinks: a twitch, closed eyes, a wink, a squint, a dip divided by a cut and one truncated by the clip's end.
    blinks = find_blinks(opening, found, timeline) * 25
    np.testing.assert_allclose(blinks[:, 1], [50, 58, 320, 449], atol=1)
    assert (blinks[:, 0] < blinks[:, 1]).all() and (blinks[:, 1] < blinks[:, 2]).all()
    assert (blinks[1:, 0] >= blinks[:-1, 2]).all()
    assert (np.abs(blinks[0] - [47, 50, 55]) < 1.5).all()
    found[48:53] = False
    assert len(find_blinks(opening, found, timeline)) == 3
    # blinks before the border do not depend on the frames after it, except for the blink across it
    opening[460:] = 0.0
    np.testing.assert_array_equal(find_blinks(opening, found, timeline)[:2], blinks[1:3] / 25)


def test_robust_smoothing_removes_jitter_and_keeps_blinks() -> None:
    truth = opening_with_dips(400, *((first, 2, 0.1) for first in range(40, 400, 60)))
    noise = np.random.default_rng(0).normal(0, 0.02, 400)
    result = smooth_robust(truth + noise, 0.04, 0.002)
    rest = truth == 0.9
    assert (result - truth)[rest].std() < 0.5 * noise[rest].std()
    assert np.abs((result - truth)[~rest]).max() < 0.12


@pytest.fixture(scope="module")
def demo_folder(demo_clip: tuple[Path, dict], tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    output = tmp_path_factory.mktemp("eyes") / "demo"
    process_video(demo_clip[0], output, ProcessConfig(size=64))
    return DatasetFolder.open(output)


def test_openings_and_blinks_match_the_truth(demo_folder: DatasetFolder, demo_clip: tuple[Path, dict]) -> None:
    truth, measured = demo_clip[1], demo_folder.attributes
    for eye in range(2):
        assert np.corrcoef(measured.eye_opening[:, eye], truth["eye_opening"][:, eye])[0, 1] > 0.97
    assert np.corrcoef(measured.mouth_opening, truth["mouth_opening"])[0, 1] > 0.94
    assert len(truth["blinks"]) == len(measured.blinks) > 2
    assert np.abs(measured.blinks - truth["blinks"]).max(0) == pytest.approx([0, 0, 0], abs=0.09)
