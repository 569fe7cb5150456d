"""Readers of data folders of the AD-NeRF family: a valid result, or one line that names the file."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dfa_nerfstudio.media.audio import write_wav
from dfa_nerfstudio.preprocessing.adnerf.convert import _read_audio
from dfa_nerfstudio.preprocessing.adnerf.eye_opening import read_eyes
from dfa_nerfstudio.preprocessing.adnerf.frame_mapping import FrameMapping
from dfa_nerfstudio.preprocessing.adnerf.image_import import CropSpec
from dfa_nerfstudio.preprocessing.adnerf.mask_import import find_masks
from dfa_nerfstudio.preprocessing.adnerf.source_folder import ADNeRFFolder, read_landmarks
from dfa_nerfstudio.preprocessing.report.process_report import ProcessReport
from tests.fuzz.damage import (
    OTHER_FILES,
    ArrayDamage,
    ByteDamage,
    JsonDamage,
    array_damages,
    byte_damages,
    damaged_json,
    json_damages,
    reads,
)

NUM_TRAIN, NUM_FRAMES, SIZE = 10, 12, 32
TRAIN, VAL, LANDMARKS, SCORES, UNITS, AUDIO, IMAGE, LABELS = (
    *("transforms_train.json", "transforms_val.json", "ori_imgs/3.lms", "bs.npy", "au.csv", "aud.wav"),
    *("gt_imgs/0.jpg", "parsing/0.png"),
)
transform_paths = st.one_of(
    st.tuples(st.sampled_from(["focal_len", "cx", "cy", "frames"])),
    st.tuples(st.just("frames"), st.integers(0, NUM_TRAIN - 1)),
    st.tuples(
        st.just("frames"), st.integers(0, NUM_TRAIN - 1), st.sampled_from(["img_id", "aud_id", "transform_matrix"])
    ),
    st.builds(
        lambda frame, cells: ("frames", frame, "transform_matrix", *cells),
        st.integers(0, NUM_TRAIN - 1),
        st.lists(st.integers(0, 3), max_size=2),
    ),
)


@dataclass
class Files:
    """A data folder and the original content of its files."""

    folder: Path
    originals: dict[str, bytes]

    def write(self, name: str, content: bytes) -> Path:
        """Writes the original files, but this one."""
        for other, original in self.originals.items():
            (self.folder / other).write_bytes(content if other == name else original)
        return self.folder / name


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder, generator = tmp_path_factory.mktemp("fuzz") / "obama", np.random.default_rng(0)
    for name in ("gt_imgs", "ori_imgs", "parsing"):
        (folder / name).mkdir(parents=True)
    for number in range(NUM_FRAMES):
        cv2.imwrite(str(folder / f"gt_imgs/{number}.jpg"), generator.integers(0, 256, (SIZE, SIZE, 3), np.uint8))
        labels = np.full((SIZE, SIZE, 3), 255, np.uint8)
        labels[8:24, 8:24] = 255, 0, 0
        cv2.imwrite(str(folder / f"parsing/{number}.png"), labels)
        np.savetxt(folder / f"ori_imgs/{number}.lms", generator.uniform(0, SIZE, (68, 2)), "%f")
    np.save(folder / SCORES, generator.uniform(0, 1, (NUM_FRAMES, 52)).astype(np.float32))
    rows = [f"{number + 1}, 0, {number / 25:.3f}, 1, {number % 3}" for number in range(NUM_FRAMES)]
    (folder / UNITS).write_text("\n".join(["frame, face_id, timestamp, success, AU45_r", *rows]))
    write_wav(folder / AUDIO, generator.uniform(-0.5, 0.5, NUM_FRAMES * 640).astype(np.float32))
    for name, numbers in ((TRAIN, range(NUM_TRAIN)), (VAL, range(NUM_TRAIN, NUM_FRAMES))):
        frames = [{"img_id": n, "aud_id": n, "transform_matrix": np.eye(4).tolist()} for n in numbers]
        head = {"focal_len": 64.0, "cx": SIZE / 2, "cy": SIZE / 2}
        (folder / name).write_text(json.dumps({**head, "frames": frames}))
    names = (TRAIN, VAL, LANDMARKS, SCORES, UNITS, AUDIO, IMAGE, LABELS)
    return Files(folder, {name: (folder / name).read_bytes() for name in names})


def check_folder(path: Path) -> None:
    """Reads all that an import reads of the folder's tables; where it is accepted, all frames are there and finite."""
    folder = reads(lambda: ADNeRFFolder.open(path), path)
    if folder is None or reads(lambda: folder.images, path) is None:
        return
    count = len(folder.cameras)
    assert 1 <= folder.num_train <= count == len(folder.image_ids) == len(folder.time_ids)
    assert np.isfinite(folder.cameras).all() and (np.diff(folder.time_ids) > 0).all() and folder.focal > 0
    mapping = reads(lambda: FrameMapping.from_folder(folder), path)
    if mapping is None:
        return
    assert count <= len(mapping) <= 2 * count and mapping.listed.sum() == count
    assert set(mapping.image_numbers) <= folder.images.keys()
    crop = reads(lambda: CropSpec.from_folder(folder, None), path)
    assert crop is None or crop.size == SIZE
    eyes = reads(lambda: read_eyes(folder, mapping.image_numbers), path)
    if eyes is not None:
        opening, _ = eyes.opening(np.arange(len(mapping)) < folder.num_train)
        assert opening.shape == (len(mapping), 2) and ((opening >= 0) & (opening <= 1)).all()
    audio = reads(lambda: _read_audio(folder, mapping, ProcessReport("aud.wav")), path)
    assert audio is None or (len(audio) == 640 * len(mapping) and np.isfinite(audio).all())


@given(damages=json_damages(transform_paths), name=st.sampled_from([TRAIN, VAL]))
@example(damages=[], name=TRAIN)
@example(damages=[JsonDamage(("frames", 2, "img_id"), "replace", float("inf"))], name=TRAIN)
@example(damages=[JsonDamage(("focal_len",), "replace", 10**400)], name=VAL)
@example(damages=[JsonDamage(("frames", 2, "aud_id"), "replace", 2**63)], name=TRAIN)
def test_values_of_transforms(files: Files, damages: list[JsonDamage], name: str) -> None:
    files.write(name, damaged_json(files.originals[name], damages))
    check_folder(files.folder)


@given(damage=byte_damages, name=st.sampled_from([TRAIN, VAL, SCORES, AUDIO]))
def test_bytes_of_tables(files: Files, damage: ByteDamage, name: str) -> None:
    files.write(name, damage.apply(files.originals[name]))
    check_folder(files.folder)


@given(damage=byte_damages)
def test_bytes_of_action_units(files: Files, damage: ByteDamage) -> None:
    files.write(UNITS, damage.apply(files.originals[UNITS]))
    (files.folder / SCORES).unlink()
    check_folder(files.folder)


@given(damage=array_damages(["scores"]))
def test_blendshapes(files: Files, damage: ArrayDamage) -> None:
    file = io.BytesIO()
    np.save(file, damage.apply(np.load(io.BytesIO(files.originals[SCORES]))))
    files.write(SCORES, file.getvalue())
    check_folder(files.folder)


@given(damage=byte_damages)
def test_landmarks(files: Files, damage: ByteDamage) -> None:
    path = files.write(LANDMARKS, damage.apply(files.originals[LANDMARKS]))
    points = reads(lambda: read_landmarks(path), files.folder)
    assert points is None or (points.shape == (68, 2) and np.isfinite(points).all())


@given(damage=byte_damages, name=st.sampled_from([IMAGE, LABELS]))
def test_images_and_masks(files: Files, damage: ByteDamage, name: str) -> None:
    files.write(name, damage.apply(files.originals[name]))
    folder = ADNeRFFolder.open(files.folder)
    reads(lambda: CropSpec.from_folder(folder, None), files.folder)
    masks = find_masks(folder)
    assert masks is not None
    pair = reads(lambda: masks.read(0), files.folder)
    assert pair is None or (pair[0].shape == pair[1].shape and pair[0].dtype == np.uint8)


@pytest.mark.parametrize("content", OTHER_FILES, ids=lambda content: repr(content[:8]))
@pytest.mark.parametrize("name", [TRAIN, VAL])
def test_files_of_another_kind(files: Files, name: str, content: bytes) -> None:
    files.write(name, content)
    assert reads(lambda: ADNeRFFolder.open(files.folder), files.folder) is None
