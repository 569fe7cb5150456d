"""Folders from someone else: no name and no link in them leads to files elsewhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from dfa_nerfstudio.data.dataset_folder import TRACK, TRANSFORMS, DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.preprocessing.adnerf.source_folder import ADNeRFFolder


@pytest.fixture
def person(ball_person: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ball_person, tmp_path / "person"))


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A file outside the folder."""
    path = tmp_path / "private.png"
    path.write_bytes(b"a secret")
    return path


@pytest.mark.parametrize("key", ["file_path", "person_mask_path", "torso_mask_path"])
def test_names_that_lead_out_of_a_dataset_folder_are_refused(person: Path, private: Path, key: str) -> None:
    content = json.loads((person / TRANSFORMS).read_text())
    for name in (str(private), "../private.png", "images/../../private.png", "", 7):
        content["frames"][3][key] = name
        (person / TRANSFORMS).write_text(json.dumps(content))
        with pytest.raises(UserError, match=r"transforms\.json: ") as refused:
            DatasetFolder.open(person)
        assert "secret" not in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["images/00004.jpg", "audio.wav", TRACK, "attribute_models.pt"])
def test_links_to_files_elsewhere_are_refused(person: Path, private: Path, name: str) -> None:
    """Files that a command would write, too: writing follows links."""
    (person / name).unlink(missing_ok=True)
    for target in (private, private.with_name("not there yet")):
        (person / name).symlink_to(target)
        with pytest.raises(UserError, match=rf"{name}: is a link to .*, outside the folder"):
            DatasetFolder.open(person)
        (person / name).unlink()


def test_folders_that_the_user_links_are_read(person: Path, tmp_path: Path) -> None:
    shutil.move(person / "images", tmp_path / "large disk")
    (person / "images").symlink_to(tmp_path / "large disk")
    (person / "masks/00000.png").unlink()
    (person / "masks/00000.png").symlink_to("00001.png")
    (tmp_path / "link").symlink_to(person)
    assert DatasetFolder.open(tmp_path / "link").num_frames == 48


def test_links_in_a_folder_of_the_adnerf_family_are_refused(tmp_path: Path, private: Path) -> None:
    folder = tmp_path / "obama"
    (folder / "gt_imgs").mkdir(parents=True)
    frames = [{"img_id": 0, "transform_matrix": np.eye(4).tolist()}]
    (folder / "transforms_train.json").write_text(json.dumps({"focal_len": 9, "cx": 4, "cy": 4, "frames": frames}))
    assert len(ADNeRFFolder.open(folder).image_ids) == 1
    for name in ("gt_imgs/0.jpg", "aud.wav"):
        (folder / name).symlink_to(private)
        with pytest.raises(UserError, match=rf"{name}: is a link to .*, outside the folder"):
            ADNeRFFolder.open(folder)
        (folder / name).unlink()
