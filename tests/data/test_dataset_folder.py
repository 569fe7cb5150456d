"""Dataset folders are checked when they are opened, and files are written atomically."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dfa_nerfstudio.data.dataparser import DFADataParserConfig
from dfa_nerfstudio.data.dataset_folder import ATTRIBUTES, TRANSFORMS, DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.npz import load_npz


@pytest.fixture
def person(ball_person: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ball_person, tmp_path / "person"))


def test_a_complete_folder_opens(person: Path):
    folder = DatasetFolder.open(person)
    assert (folder.num_frames, folder.num_train, folder.size) == (48, 40, (40, 40))
    cameras = np.array([frame["transform_matrix"] for frame in folder.meta["frames"]])
    np.testing.assert_allclose(cameras @ folder.attributes.head_to_camera, np.eye(4)[None].repeat(48, 0), atol=1e-5)
    assert "head_to_camera" not in load_npz(person / ATTRIBUTES)


def test_written_head_poses_are_read_back_exactly(person: Path):
    folder = DatasetFolder.open(person)
    poses = Rotation.random(48, random_state=0).as_matrix()
    poses = np.concatenate([poses, np.random.default_rng(0).normal(0, 5, (48, 3, 1))], -1)
    poses = np.concatenate([poses, np.tile([[[0.0, 0.0, 0.0, 1.0]]], (48, 1, 1))], 1).astype(np.float32)
    DatasetFolder.write_transforms(person, focal_length=80, size=folder.size, num_train=40, head_to_camera=poses)
    np.testing.assert_array_equal(DatasetFolder.open(person).attributes.head_to_camera, poses)


@pytest.mark.parametrize("name", [TRANSFORMS, ATTRIBUTES, "audio.wav", "background.png", "masks/00007.png"])
def test_a_missing_file_is_named(person: Path, name: str):
    (person / name).unlink()
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        DatasetFolder.open(person)


def test_damaged_files_are_named(person: Path):
    transforms, attributes = person / TRANSFORMS, person / ATTRIBUTES
    text, arrays = transforms.read_text(), load_npz(attributes)
    for broken in (text[:500], "{}", json.dumps({**json.loads(text), "dfa_format_version": 99}), "[]"):
        transforms.write_text(broken)
        with pytest.raises(UserError, match=r"transforms\.json"):
            DatasetFolder.open(person)
    content = json.loads(text)
    for matrix in ([[0.0] * 4] * 4, [1.0, 2.0], None, [["x"] * 4] * 4, (-np.eye(4)).tolist()):
        content["frames"][7]["transform_matrix"] = matrix
        transforms.write_text(json.dumps(content))
        with pytest.raises(UserError, match="transform_matrix of a frame is no rotation and translation"):
            DatasetFolder.open(person)
    frames = [{**frame, "time": number / 46} for number, frame in enumerate(json.loads(text)["frames"][:-1])]
    transforms.write_text(json.dumps(json.loads(text) | {"frames": frames}))
    with pytest.raises(UserError, match="shot has 48 rows, but the 47 frames"):
        DatasetFolder.open(person)
    transforms.write_text(text)
    attributes.write_bytes(attributes.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"attributes\.npz: unreadable or truncated"):
        DatasetFolder.open(person)
    arrays["eye_opening"][3] = np.nan
    np.savez(attributes, **arrays)
    with pytest.raises(UserError, match="eye_opening holds numbers that are not finite"):
        DatasetFolder.open(person)
    with pytest.raises(UserError, match="no such folder"):
        DatasetFolder.open(person / "nothing")


def test_invalid_frames_are_neither_used_for_training_nor_scored(person: Path):
    clip = DatasetFolder.open(person).attributes
    clip.shot[5:10], clip.shot[10:], clip.shot[44] = -1, 1, -1
    clip.save(person / "attributes.npz")
    for split, kept in (("train", [*range(5), *range(10, 40)]), ("test", [*range(40, 44), *range(45, 48)])):
        outputs = DFADataParserConfig(data=person).setup().get_dataparser_outputs(split)
        meta = outputs.metadata["clip"]
        assert [int(path.stem) for path in outputs.image_filenames] == kept
        assert [int(path.stem) for path in meta.masks] == kept
        assert outputs.cameras.times.flatten().numpy() == pytest.approx(np.array(kept) / 47)
        assert len(meta.track) == 48 and meta.train_frames.tolist() == [*range(5), *range(10, 40)]
