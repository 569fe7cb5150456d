"""Both of mediapipe's trackers on one clip, lost faces, and bad model files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.face.landmark_tracker import LandmarkTracker, interpolate_lost
from dfa_nerfstudio.face.topology import INNER_LIPS, RIGID
from dfa_nerfstudio.preprocessing.process_config import ProcessConfig
from dfa_nerfstudio.preprocessing.process_video import process_video
from tests.preprocessing.conftest import decode

MODEL = Path(__file__).parents[2] / "../shared/models/face_landmarker.task"
needs_model = pytest.mark.skipif(not MODEL.is_file(), reason="the model file (../shared/models) is missing")
BLINK, JAW_OPEN = slice(9, 11), 25
"""eyeBlinkLeft, eyeBlinkRight and jawOpen among mediapipe's 52 blendshapes."""


@needs_model
def test_the_trackers_agree_and_blendshapes_correlate_with_the_truth(
    demo_clip: tuple[Path, dict[str, np.ndarray]], capfd: pytest.CaptureFixture
) -> None:
    path, truth = demo_clip
    frames = decode(path)[:150]
    frames[40] = np.zeros_like(frames[40])
    mesh, tasks = LandmarkTracker.create(None), LandmarkTracker.create(MODEL)
    pairs = [(mesh.track(image), tasks.track(image)) for image in frames]
    assert capfd.readouterr() == ("", "")
    found = [number for number, pair in enumerate(pairs) if all(pair)]
    assert found == [number for number in range(150) if number != 40] and pairs[40] == (None, None)
    first, second = (np.stack([pairs[number][which].landmarks for number in found]) * 256 for which in range(2))
    assert np.linalg.norm((first - second)[:, RIGID, :2], axis=-1).mean() < 1.5  # pixels of 256
    assert np.linalg.norm((first - first.mean(0))[..., :2], axis=-1).mean() > 3  # the head moves
    scores = np.stack([pairs[number][1].blendshapes for number in found])
    assert scores.shape == (149, 52) and pairs[0][0].blendshapes.shape == (0,)
    closed = 1 - truth["eye_opening"][:150].mean(1)
    assert np.corrcoef(scores[:, BLINK].mean(1), closed[found])[0, 1] > 0.8
    upper, lower = (second[:, INNER_LIPS[2, lip], :2] for lip in range(2))
    mouth = truth["mouth_opening"][:150][found]
    assert np.corrcoef(np.linalg.norm(upper - lower, axis=-1), mouth)[0, 1] > 0.9
    assert np.corrcoef(scores[:, JAW_OPEN], mouth)[0, 1] > 0.6  # the subject's jaw hardly moves


@needs_model
def test_blendshapes_are_stored(demo_clip: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    process_video(demo_clip[0], tmp_path / "data", ProcessConfig(size=64, face_landmarker=MODEL))
    attributes = DatasetFolder.open(tmp_path / "data").attributes
    assert attributes.blendshapes.shape == (250, 52) and attributes.blendshapes.dtype == np.float32
    opening = attributes.eye_opening.mean(1)
    assert np.corrcoef(attributes.blendshapes[:, BLINK].mean(1), opening)[0, 1] < -0.8


def test_a_bad_model_file_is_refused_before_processing(tmp_path: Path) -> None:
    (tmp_path / "text.task").write_text("not a model")
    for name, words in (("none.task", "No such file"), ("text.task", "not a face landmarker"), (".", "directory")):
        config = ProcessConfig(face_landmarker=tmp_path / name)
        with pytest.raises(UserError, match=f"{name}.*{words}"):
            process_video(tmp_path / "no_video.mp4", tmp_path / "data", config)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("width", [3, 0])
def test_lost_rows_are_interpolated(width: int) -> None:
    rows = np.arange(10.0)[:, None] * np.arange(1, width + 1)
    found = np.array([0, 1, 1, 0, 0, 0, 1, 0, 1, 0], bool)
    measured = np.where(found[:, None], rows, np.nan)
    expected = np.clip(np.arange(10.0), 1, 8)[:, None] * np.arange(1, width + 1)
    interpolate_lost(measured, found)
    np.testing.assert_allclose(measured, expected)
