"""Readers of a dataset folder return what was written, if it is valid, or end in one line that names the file."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.audio_features import FileFeature
from dfa_nerfstudio.data.dataparser import DFADataParserConfig
from dfa_nerfstudio.data.dataset_folder import (
    ATTRIBUTES,
    AUDIO,
    BACKGROUND,
    TRACK,
    TRANSFORMS,
    ClipAttributes,
    DatasetFolder,
)
from dfa_nerfstudio.media.audio import PCM16_MAX, read_wav, write_wav
from dfa_nerfstudio.media.images import read_image
from tests.fuzz.damage import (
    OTHER_FILES,
    ArchiveDamage,
    ArrayDamage,
    ByteDamage,
    JsonDamage,
    array_damages,
    byte_damages,
    damaged_json,
    damaged_npz,
    json_damages,
    npz_damages,
    reads,
)

NUM_FRAMES = 48
HEAD = ("fl_x", "fl_y", "cx", "cy", "w", "h", "fps", "num_train", "frames", "camera_model", "dfa_format_version")
FRAME = ("file_path", "person_mask_path", "torso_mask_path", "time", "transform_matrix")
frame_paths = st.tuples(st.just("frames"), st.integers(0, NUM_FRAMES - 1))
cell_paths = st.lists(st.integers(0, 3), max_size=2)
transform_paths = st.one_of(
    st.tuples(st.sampled_from(HEAD)),
    frame_paths,
    st.builds(lambda frame, key: (*frame, key), frame_paths, st.sampled_from(FRAME)),
    st.builds(lambda frame, cells: (*frame, "transform_matrix", *cells), frame_paths, cell_paths),
)
attribute_names = [field.name for field in dataclasses.fields(ClipAttributes) if field.name != "head_to_camera"]
track_names = ["head_to_camera", "torso_motion", "eye", "mouth", "fps", "kinds"]
kind_paths = st.one_of(
    st.just(("kinds",)),
    st.tuples(st.just("kinds"), st.sampled_from(["eye", "mouth"])),
    st.tuples(st.just("kinds"), st.sampled_from(["eye", "mouth"]), st.sampled_from(["name", "version", "fingerprint"])),
)


@dataclasses.dataclass
class Files:
    """A dataset folder and the original content of its files."""

    folder: Path
    originals: dict[str, bytes]

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Original arrays of a file."""
        return dict(np.load(io.BytesIO(self.originals[name])))

    def write(self, name: str, content: bytes) -> Path:
        """Writes the original files, but this one."""
        for other, original in self.originals.items():
            (self.folder / other).write_bytes(content if other == name else original)
        return self.folder / name


@pytest.fixture(scope="module")
def files(ball_person: Path, tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("fuzz") / "person"
    shutil.copytree(ball_person, folder)
    write_wav(folder / AUDIO, np.random.default_rng(0).uniform(-0.5, 0.5, 4000).astype(np.float32))
    names = (TRANSFORMS, ATTRIBUTES, TRACK, AUDIO, BACKGROUND)
    return Files(folder, {name: (folder / name).read_bytes() for name in names})


def check_folder(folder: Path) -> None:
    """Opens the folder; where it is accepted, it holds what its files do, and a renderer can be trained on it."""
    opened = reads(lambda: DatasetFolder.open(folder), folder)
    if opened is None:
        return
    assert json.dumps(opened.meta) == json.dumps(json.loads((folder / TRANSFORMS).read_bytes()))
    attributes = vars(opened.attributes)
    with np.load(folder / ATTRIBUTES) as stored:
        for name in set(attribute_names) & set(stored.files):
            np.testing.assert_array_equal(attributes[name], stored[name])
    assert all(np.isfinite(values).all() for values in attributes.values())
    assert len(opened.cameras) == len(opened.attributes) == opened.num_frames >= opened.num_train >= 1
    for split in ("train", "test"):
        check_training_data(folder, split)


def check_training_data(folder: Path, split: str) -> None:
    outputs = reads(lambda: DFADataParserConfig(data=folder).setup()._read(split), folder)
    if outputs is None:
        return
    clip = outputs.metadata["clip"]
    assert 0 < clip.near < clip.far
    assert 0 < len(outputs.image_filenames) == len(outputs.cameras) == len(clip.boxes)
    numbers = (outputs.scene_box.aabb, clip.regions, clip.half_extent, outputs.cameras.camera_to_worlds)
    assert all(torch.isfinite(values).all() for values in numbers)
    left, top, right, bottom = clip.boxes.unbind(-1)
    width, height = clip.size
    assert (left >= 0).all() and (left < right).all() and (right <= width).all()
    assert (top >= 0).all() and (top < bottom).all() and (bottom <= height).all()


@given(damages=json_damages(transform_paths))
@example(damages=[])
@example(damages=[JsonDamage(("frames", 0, "file_path"), "replace", None)])
@example(damages=[JsonDamage(("frames", 0, "file_path"), "replace", "é" * 300)])  # no file system has such a name
@example(damages=[JsonDamage(("frames", 3), "replace", -1.0)])
@example(damages=[JsonDamage(("frames", 5), "swap", None)])  # which would pair frames with the attributes of others
@example(damages=[JsonDamage(("frames", 7, "transform_matrix", 0, 0), "replace", 10**400)])
@example(damages=[JsonDamage(("w",), "replace", "40")])
@example(damages=[JsonDamage(("fl_x",), "replace", 1)])
def test_values_of_transforms(files: Files, damages: list[JsonDamage]) -> None:
    files.write(TRANSFORMS, damaged_json(files.originals[TRANSFORMS], damages))
    check_folder(files.folder)


@given(damage=byte_damages)
def test_bytes_of_transforms(files: Files, damage: ByteDamage) -> None:
    files.write(TRANSFORMS, damage.apply(files.originals[TRANSFORMS]))
    check_folder(files.folder)


@given(damage=npz_damages(attribute_names), compressed=st.booleans())
@example(damage=ArchiveDamage("shot", "header", ((10**12,), "<f4")), compressed=False)  # 4 TB
@example(damage=ArchiveDamage("loudness", "header", ((0, 10**30), "<f4")), compressed=False)
@example(damage=ArrayDamage("expression", "scalar", None), compressed=False)
@example(damage=ArrayDamage("identity_basis", "type", "S2"), compressed=False)
@example(damage=ArrayDamage("landmarks", "type", "f8"), compressed=False)
@example(damage=ByteDamage("zero", 60, bytes(64)), compressed=True)
def test_attributes(files: Files, damage: ArrayDamage | ArchiveDamage | ByteDamage, compressed: bool) -> None:
    files.write(ATTRIBUTES, damaged_npz(files.arrays(ATTRIBUTES), damage, compressed))
    check_folder(files.folder)


@given(damage=npz_damages(track_names), compressed=st.booleans())
@example(damage=ArrayDamage("fps", "value", 0), compressed=False)
@example(damage=ArrayDamage("head_to_camera", "value", 7, 5), compressed=False)
@example(damage=ArrayDamage("torso_motion", "transpose", None), compressed=False)
@example(damage=ByteDamage("insert", 0, bytes(1)), compressed=False)
def test_arrays_of_a_track(files: Files, damage: ArrayDamage | ArchiveDamage | ByteDamage, compressed: bool) -> None:
    check_track(files, damaged_npz(files.arrays(TRACK), damage, compressed))


@given(damages=json_damages(kind_paths))
@example(damages=[JsonDamage(("kinds", "eye", "version"), "replace", "1")])
def test_kinds_of_a_track(files: Files, damages: list[JsonDamage]) -> None:
    arrays = files.arrays(TRACK)
    kinds = damaged_json(b'{"kinds": %s}' % str(arrays["kinds"]).encode(), damages)
    text = ArrayDamage("kinds", "scalar", None)
    arrays["kinds"] = np.array(json.dumps(json.loads(kinds).get("kinds")))
    check_track(files, damaged_npz(arrays, text, compressed=False))


def check_track(files: Files, content: bytes) -> None:
    path = files.write(TRACK, content)
    track = reads(lambda: AttributeTrack.load(path), files.folder)
    if track is None:
        return
    with zipfile.ZipFile(path) as archive:  # numpy.load refuses an archive that does not begin at the first byte
        stored = {name: np.load(io.BytesIO(archive.read(name))) for name in archive.namelist()}
        for name in ("head_to_camera", "torso_motion", "eye", "mouth"):
            values = getattr(track, name)
            assert values.dtype == torch.float32 and len(values) == len(track) and torch.isfinite(values).all()
            np.testing.assert_array_equal(values, stored[f"{name}.npy"].astype(np.float32))
        kinds: dict[str, Any] = json.loads(str(stored["kinds.npy"]))
        assert kinds["eye"] == dataclasses.asdict(track.eye_kind)
        assert kinds["mouth"] == dataclasses.asdict(track.mouth_kind)
        assert 0 < track.duration == len(track) / float(stored["fps.npy"]) < np.inf
    assert torch.isfinite(track.at(torch.tensor([0.0, 0.3, 1.0])).head_to_camera).all()
    check_training_data(files.folder, "train")


@given(damage=byte_damages, start=st.integers(0, 4000), stop=st.none() | st.integers(0, 2**31))
@example(damage=ByteDamage("cut", 45, b""), start=0, stop=None)  # half a sample
@example(damage=ByteDamage("flip", 16, b"\x01"), start=0, stop=None)  # the size of a chunk
def test_audio(files: Files, damage: ByteDamage, start: int, stop: int | None) -> None:
    content = damage.apply(files.originals[AUDIO])
    path = files.write(AUDIO, content)
    samples = reads(lambda: read_wav(path, start, stop), files.folder)
    if samples is not None:
        assert samples.dtype == np.float32 and 2 * len(samples) <= len(content)
        assert (np.abs(samples) <= (PCM16_MAX + 1) / PCM16_MAX).all()


@given(damage=array_damages(["features"]), bytes_too=st.none() | byte_damages)
def test_feature_file(files: Files, damage: ArrayDamage, bytes_too: ByteDamage | None) -> None:
    file = io.BytesIO()
    np.save(file, damage.apply(np.random.default_rng(0).normal(0, 1, (48, 2, 3)).astype(np.float32)))
    path = files.folder / "features.npy"
    path.write_bytes(file.getvalue() if bytes_too is None else bytes_too.apply(file.getvalue()))
    feature = reads(lambda: FileFeature(path), files.folder)
    if feature is not None:
        written = np.load(path)
        np.testing.assert_array_equal(feature.rows, written.reshape(len(written), -1).astype(np.float32))


@pytest.mark.parametrize("content", OTHER_FILES, ids=lambda content: repr(content[:8]))
@pytest.mark.parametrize("name", [TRANSFORMS, ATTRIBUTES, TRACK, AUDIO, BACKGROUND, "images/00003.jpg"])
def test_files_of_another_kind(files: Files, name: str, content: bytes) -> None:
    original = (files.folder / name).read_bytes()
    path = files.write(name, content)
    path.write_bytes(content)
    readers = {
        TRACK: lambda: AttributeTrack.load(path),
        AUDIO: lambda: read_wav(path),
        BACKGROUND: lambda: DFADataParserConfig(data=files.folder).setup()._read("train"),
        "images/00003.jpg": lambda: read_image(path),
    }
    try:
        assert reads(readers.get(name, lambda: DatasetFolder.open(files.folder)), files.folder) is None
    finally:
        path.write_bytes(original)
