"""`dfa-process` end to end: against the demo subject's ground truth, on a real clip, and on invalid input."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from dfa_nerfstudio.data.dataset_folder import REPORT_FILE, DatasetFolder
from dfa_nerfstudio.demo.ground_truth import compare_with_truth
from dfa_nerfstudio.demo.make_clip import truth_path
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.face.topology import RIGID
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.preprocessing.process_config import ProcessConfig
from dfa_nerfstudio.preprocessing.process_video import process_video
from tests.pipeline_fixture import refused
from tests.preprocessing.conftest import decode, write_clip

SMALL = ProcessConfig(size=64)


@pytest.fixture(scope="module")
def demo(demo_clip: tuple[Path, dict], tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    output = tmp_path_factory.mktemp("datasets") / "demo"
    process_video(demo_clip[0], output, ProcessConfig(size=128))
    return DatasetFolder.open(output)


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first, second)[0, 1])


def test_head_pose_and_focal_length_match_the_ground_truth(demo: DatasetFolder, demo_clip: tuple[Path, dict]) -> None:
    path, truth = demo_clip
    errors = compare_with_truth(demo, truth_path(path))
    assert errors["rotation_error_degrees"] < 0.5
    assert abs(errors["focal_length_error"]) < 0.1
    pose, found = truth["head_to_camera"], demo.attributes.head_to_camera
    for axis in range(2):  # position of the head in the image
        assert correlation(pose[:, axis, 3] / pose[:, 2, 3], found[:, axis, 3] / found[:, 2, 3]) > 0.99
    distance = pose[:, 2, 3] / pose[:, 2, 3].mean() - found[:, 2, 3] / found[:, 2, 3].mean()
    assert np.abs(distance - np.median(distance)).mean() < 0.01


def test_torso_mouth_and_eyes_match_the_ground_truth(demo: DatasetFolder, demo_clip: tuple[Path, dict]) -> None:
    truth, found = demo_clip[1], demo.attributes
    ratio = (demo.meta["fl_x"] / demo.meta["w"]) / (truth["focal_length"] / truth["size"])
    error = found.torso_motion * [ratio, ratio, 1, 1] - truth["torso_motion"]
    assert (error - error.mean(0)).std(0)[:2].max() * truth["focal_length"] < 0.1  # pixels of 256
    assert (error - error.mean(0)).std(0)[2:].max() < 2e-3
    assert correlation(found.mouth_opening, truth["mouth_opening"]) > 0.88
    for eye in range(2):
        assert correlation(found.eye_opening[:, eye], truth["eye_opening"][:, eye]) > 0.9
    both = found.eye_opening.min(1)
    assert all(both[round(25 * apex)] < 0.35 for _, apex, _ in truth["blinks"])
    assert len(truth["blinks"]) > 1 and (both[truth["eye_opening"].min(1) > 0.99] > 0.5).all()  # no false blinks


def test_reprojected_landmarks_lie_on_the_face(demo: DatasetFolder) -> None:
    """transforms.json, the mean shape and the landmarks follow the same conventions, as read from the files alone."""
    attributes, meta = demo.attributes, demo.meta
    shape = (attributes.mean_shape + attributes.identity_basis @ attributes.identity)[RIGID]
    assert shape.mean(0) == pytest.approx(0, abs=0.02)
    for number in range(0, demo.num_frames, 25):
        camera = np.array(meta["frames"][number]["transform_matrix"])
        points = (shape - camera[:3, 3]) @ camera[:3, :3]  # inverse of a rigid transform
        assert (points[:, 2] < 0).all()
        x = meta["cx"] + meta["fl_x"] * points[:, 0] / -points[:, 2]
        y = meta["cy"] - meta["fl_y"] * points[:, 1] / -points[:, 2]
        distance = np.hypot(x - attributes.landmarks[number, RIGID, 0], y - attributes.landmarks[number, RIGID, 1])
        assert distance.mean() < 1.0  # landmarks lag behind a turning head
    nose, chin = attributes.front_landmarks[:, 30].mean(0), attributes.front_landmarks[:, 8].mean(0)
    assert nose[2] > 0.2 and chin[1] < -0.8
    coefficients = attributes.expression
    assert np.abs(coefficients[: demo.num_train].mean(0)).max() < 1e-4


def test_background_is_the_scene_without_the_person(demo: DatasetFolder) -> None:
    background = cv2.imread(str(demo.path / "background.png")).astype(float)
    frame = cv2.imread(str(demo.path / demo.meta["frames"][0]["file_path"])).astype(float)
    mask = cv2.imread(str(demo.path / demo.meta["frames"][0]["person_mask_path"]), cv2.IMREAD_GRAYSCALE)
    assert 0.2 < (mask > 127).mean() < 0.8
    outside = cv2.dilate(mask, np.ones((9, 9))) < 13
    assert np.abs(background - frame)[outside].mean() < 4
    assert np.abs(background - frame)[mask > 200].mean() > 30


def test_real_clip(real_clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    report = process_video(real_clip, tmp_path / "real", ProcessConfig(size=128))
    folder = DatasetFolder.open(tmp_path / "real")
    assert capfd.readouterr() == ("", "")  # libraries print nothing
    assert folder.num_frames == 100 and folder.num_train == 91
    assert report.faces_interpolated == 0 and report.crop == (0, 0, 512)
    assert report.reprojection_error < 0.01 * report.eye_distance
    assert report.jitter < 0.7 * report.jitter_before_smoothing
    assert len(read_audio(folder.path / "audio.wav")) == 100 * 640
    blink = folder.attributes.eye_opening.min(1)
    assert blink.min() < 0.2 and np.median(blink) > 0.6
    assert json.loads((folder.path / REPORT_FILE).read_text())["num_frames"] == 100


def test_held_out_frames_do_not_influence_the_training_part(real_clip: Path, tmp_path: Path) -> None:
    """Two clips that differ only in the held-out end give bit-identical training frames."""
    frames, audio = decode(real_clip)[:75], read_audio(real_clip)[: 75 * 640]
    other = list(frames)
    for number in range(68, 75):
        other[number] = frames[number - 40]  # the person is at another position
    folders = []
    for name, images in (("first", frames), ("second", other)):
        video = write_clip(tmp_path / f"{name}.mkv", images, audio=audio)
        process_video(video, tmp_path / name, SMALL)
        folders.append(DatasetFolder.open(tmp_path / name))
    first, second = folders
    assert first.num_train == second.num_train == 68
    for field in ("mean_shape", "identity_basis", "identity", "expression_basis"):
        np.testing.assert_array_equal(getattr(first.attributes, field), getattr(second.attributes, field))
    for field in ("landmarks", "front_landmarks", "head_to_camera", "torso_motion", "eye_opening", "expression"):
        mine, theirs = getattr(first.attributes, field), getattr(second.attributes, field)
        np.testing.assert_array_equal(mine[:68], theirs[:68])
        assert not np.array_equal(mine[68:], theirs[68:])
    assert first.meta["fl_x"] == second.meta["fl_x"]
    names = [
        "background.png",
        *(f"{kind}{n:05d}.{end}" for n in range(68) for kind, end in (("images/", "jpg"), ("masks/", "png"))),
    ]
    for name in names:
        assert (first.path / name).read_bytes() == (second.path / name).read_bytes()


def test_a_face_that_is_hidden_for_most_of_the_video_is_refused(real_clip: Path, tmp_path: Path) -> None:
    frames, audio = decode(real_clip)[:60], read_audio(real_clip)[: 60 * 640]
    for image in frames[20:]:
        image[60:, 100:410] = 90
    video = write_clip(tmp_path / "gone.mkv", frames, audio=audio)
    assert "gone.mkv: only" in refused("dfa-process", video, "--output", tmp_path / "out")
    assert os.listdir(tmp_path) == ["gone.mkv"]


def test_several_faces_cause_a_warning_and_a_dataset_is_not_overwritten(real_clip: Path, tmp_path: Path) -> None:
    frames = decode(real_clip)[:60]
    wide = [np.hstack([image, np.pad(image[::2, ::2], ((128, 128), (0, 0), (0, 0)), mode="edge")]) for image in frames]
    video = write_clip(tmp_path / "two.mkv", wide, audio=read_audio(real_clip)[: 60 * 640])
    report = process_video(video, tmp_path / "two", SMALL)
    assert report.crop[0] < 100 and report.eye_distance > 0.2 * 64  # the larger face
    assert any("other faces" in warning for warning in report.warnings)
    with pytest.raises(UserError, match="`overwrite`"):
        process_video(video, tmp_path / "two", SMALL)
