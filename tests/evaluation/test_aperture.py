"""Aperture of mouth and eyes against the ground truth of a rendered clip."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from dfa_nerfstudio.demo.make_clip import ClipConfig, make_clip, truth_path
from dfa_nerfstudio.evaluation.aperture import Aperture
from dfa_nerfstudio.media.npz import load_npz
from dfa_nerfstudio.metrics.curve_agreement import curve_agreement


def test_apertures_correlate_with_the_truth_in_small_frames(tmp_path: Path):
    make_clip(tmp_path / "demo.mp4", ClipConfig(seconds=4, seed=5, size=128, blink_rate=0.8))
    truth = load_npz(truth_path(tmp_path / "demo.mp4"))
    with av.open(str(tmp_path / "demo.mp4")) as video:
        seen = Aperture.from_frames(frame.to_ndarray(format="rgb24") for frame in video.decode(video=0))
    assert np.isfinite(seen.mouth).all() and np.isfinite(seen.eyes).all()
    assert curve_agreement(seen.mouth, truth["mouth_opening"]).correlation > 0.85
    assert curve_agreement(seen.eyes, truth["eye_opening"].mean(1)).correlation > 0.85


def test_frames_without_a_face_are_nan_and_ignored():
    seen = Aperture.from_frames(np.full((3, 96, 96, 3), 128, np.uint8))
    assert np.isnan(seen.mouth).all() and np.isnan(seen.eyes).all()
    true = np.array([1.0, 2.0, 4.0, np.nan, 5.0])
    predicted = np.array([0.5, 1.0, 2.0, 9.0, np.nan])
    assert curve_agreement(predicted, true) == (0.5, 1.0, 1.0, 0.0)
