"""What is written is read back equal."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from dfa_nerfstudio.data.attribute_track import MAX_FPS, MIN_FPS, AttributeTrack, FeatureKind
from dfa_nerfstudio.data.dataset_folder import ATTRIBUTES, AUDIO, BACKGROUND, ClipAttributes, DatasetFolder
from dfa_nerfstudio.evaluation.evaluate import Evaluation
from dfa_nerfstudio.evaluation.report import evaluation_io
from dfa_nerfstudio.media.audio import PCM16_MAX, read_wav, write_wav
from dfa_nerfstudio.media.images import read_image, read_mask, write_image
from dfa_nerfstudio.media.npz import MAX_MAGNITUDE
from dfa_nerfstudio.preprocessing.morphable.morphable_basis import MorphableBasis
from dfa_nerfstudio.preprocessing.report.process_report import ProcessReport

counts = st.integers(1, 12)
seeds = st.integers(0, 2**32 - 1)
texts = st.text(max_size=20)
numbers = st.floats(allow_nan=False, allow_infinity=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("round_trips")


def random_floats(generator: np.random.Generator, *shape: int) -> np.ndarray:
    """Numbers of every magnitude that a file may hold."""
    signs, exponents = generator.choice([-1, 1], shape), generator.uniform(-30, math.log10(MAX_MAGNITUDE), shape)
    return (signs * 10**exponents).astype(np.float32)


def random_poses(generator: np.random.Generator, count: int) -> np.ndarray:
    poses = np.tile(np.eye(4, dtype=np.float32), (count, 1, 1))
    poses[:, :3, :3] = Rotation.random(count, random_state=int(generator.integers(2**31))).as_matrix()
    poses[:, :3, 3] = generator.normal(0, 5, (count, 3))
    return poses


@given(
    seed=seeds,
    count=counts,
    sizes=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    name=texts,
    version=st.integers(),
    fps=st.floats(MIN_FPS, MAX_FPS),
)
def test_track(
    folder: Path, seed: int, count: int, sizes: tuple[int, int], name: str, version: int, fps: float
) -> None:
    generator = np.random.default_rng(seed)
    parts = [random_poses(generator, count), *(random_floats(generator, count, size) for size in (4, *sizes))]
    kinds = FeatureKind(name, version, name[::-1]), FeatureKind(name * 2, -version, "")
    track = AttributeTrack(*map(torch.from_numpy, parts), *kinds, fps)
    track.save(folder / "track.npz")
    found = AttributeTrack.load(folder / "track.npz")
    for field in ("head_to_camera", "torso_motion", "eye", "mouth"):
        assert torch.equal(getattr(found, field), getattr(track, field))
    assert (found.eye_kind, found.mouth_kind, found.fps) == (*kinds, fps)


@given(
    seed=seeds,
    count=counts,
    held_out=st.integers(0, 11),
    sizes=st.tuples(*[st.integers(0, 4)] * 6),
    size=st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
    focal=st.floats(1e-3, 1e5),
)
@example(seed=0, count=1, held_out=0, sizes=(2, 1, 0, 0, 0, 0), size=(1, 1), focal=1.0)  # two blinks and one score
def test_dataset_folder(
    folder: Path, seed: int, count: int, held_out: int, sizes: tuple[int, ...], size: tuple[int, int], focal: float
) -> None:
    generator, num_train = np.random.default_rng(seed), max(count - held_out, 1)
    blinks, blendshapes, vertices, identities, expressions, coefficients = sizes
    shapes = {
        "shot": np.sort(generator.integers(0, 3, count)).astype(np.int32),
        "face_found": generator.random(count) < 0.5,
        "torso_found": generator.random(count) < 0.5,
        "voice": generator.random(4 * count) < 0.5,
        "head_to_camera": random_poses(generator, count),
        "mfcc_std": np.abs(random_floats(generator, coefficients)),
    }
    floats = {
        **{"landmarks": (count, 478, 3), "front_landmarks": (count, 68, 3), "torso_motion": (count, 4)},
        **{"torso_deviation": (count, 4), "eye_opening": (count, 2), "blinks": (blinks, 3), "mouth_opening": (count,)},
        **{"expression": (count, expressions), "blendshapes": (count, blendshapes), "mean_shape": (vertices, 3)},
        **{"identity_basis": (vertices, 3, identities), "identity": (identities,)},
        **{"expression_basis": (vertices, 3, expressions), "mfcc": (4 * count, coefficients)},
        **{"mfcc_mean": (coefficients,), "loudness": (4 * count,)},
    }
    clip = ClipAttributes(**shapes, **{name: random_floats(generator, *shape) for name, shape in floats.items()})
    clip.shot[generator.random(count) < 0.2] = -1
    clip.shot[0] = 0
    clip.save(folder / ATTRIBUTES)
    DatasetFolder.write_transforms(
        folder, focal_length=focal, size=size, num_train=num_train, head_to_camera=clip.head_to_camera
    )
    names = [f"images/{n:05d}.jpg" for n in range(count)]
    names += [f"{kind}/{n:05d}.png" for kind in ("masks", "torso_masks") for n in range(count)]
    for name in (AUDIO, BACKGROUND, *names):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    found = DatasetFolder.open(folder)
    assert (found.num_frames, found.num_train, found.size) == (count, num_train, size)
    assert found.meta["fl_x"] == found.meta["fl_y"] == focal
    for name, values in vars(clip).items():
        np.testing.assert_array_equal(getattr(found.attributes, name), values)


@given(seed=seeds, count=st.integers(0, 3000), start=st.integers(0, 4000), stop=st.none() | st.integers(0, 4000))
def test_wav(folder: Path, seed: int, count: int, start: int, stop: int | None) -> None:
    audio = np.random.default_rng(seed).integers(-PCM16_MAX, PCM16_MAX + 1, count).astype(np.float32) / PCM16_MAX
    write_wav(folder / "audio.wav", audio)
    np.testing.assert_array_equal(read_wav(folder / "audio.wav", start, stop), audio[start:stop])


@given(seed=seeds, height=st.integers(1, 40), width=st.integers(1, 40))
def test_images(folder: Path, seed: int, height: int, width: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    write_image(folder / "image.png", image)
    np.testing.assert_array_equal(read_image(folder / "image.png"), image)
    write_image(folder / "mask.png", image[..., 0])
    np.testing.assert_array_equal(read_mask(folder / "mask.png"), image[..., 0])


@given(seed=seeds, sizes=st.tuples(st.integers(0, 4), st.integers(1, 4)), num_landmarks=st.sampled_from([68, 478]))
def test_morphable_basis(folder: Path, seed: int, sizes: tuple[int, int], num_landmarks: int) -> None:
    generator, landmarks = np.random.default_rng(seed), np.arange(num_landmarks)
    bases = [random_floats(generator, num_landmarks, 3, size).astype(np.float64) for size in sizes]
    deviations = [np.abs(random_floats(generator, size)).astype(np.float64) for size in sizes]
    basis = MorphableBasis(landmarks, random_floats(generator, num_landmarks, 3).astype(float), *bases, *deviations)
    basis.save(folder / "basis.npz")
    found = vars(MorphableBasis.load(folder / "basis.npz"))
    for name in ("mean", "identity", "expression", "identity_std", "expression_std"):
        np.testing.assert_array_equal(found[name], getattr(basis, name))


@given(
    name=texts,
    scores=st.dictionaries(texts, numbers, max_size=3),
    curves=st.dictionaries(texts, st.lists(numbers, max_size=3), max_size=3),
    notes=st.lists(texts, max_size=3),
)
def test_evaluation(folder: Path, name: str, scores: dict[str, float], curves: Any, notes: list[str]) -> None:
    evaluation = Evaluation(name, name, 3, 2, (4, 5), {name: scores}, scores, scores, {name: 1}, curves, curves, notes)
    evaluation_io.save(evaluation, folder / "report.json")
    assert evaluation_io.load(folder) == evaluation


@given(source=texts, numbers=st.lists(numbers, min_size=4, max_size=4), notes=st.lists(texts, max_size=3))
def test_process_report(folder: Path, source: str, numbers: list[float], notes: list[str]) -> None:
    scene = ProcessReport(source, {"scene_cut": source}, crop=(1, 2, 3), jitter=numbers[0], warnings=notes)
    report = ProcessReport(source, excluded_spans=[(numbers[1], numbers[2])], loudness=numbers[3], scenes={"a": scene})
    report.write(folder / "process.json")
    written = (folder / "process.json").read_bytes()
    found = ProcessReport.read(folder / "process.json")
    found.write(folder / "process.json")
    assert (folder / "process.json").read_bytes() == written
    assert dataclasses.astuple(found.scenes["a"])[:2] == dataclasses.astuple(scene)[:2]
