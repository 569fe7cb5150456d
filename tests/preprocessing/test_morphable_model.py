"""Eq. 1: bases in other units and axes, bases learnt from many people, and invalid files."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.face.topology import LANDMARKS_68, NUM_MESH_LANDMARKS
from dfa_nerfstudio.preprocessing.morphable import learn_basis as people
from dfa_nerfstudio.preprocessing.morphable.learn_basis import MIRRORED_68, learn_basis
from dfa_nerfstudio.preprocessing.morphable.morphable_basis import MorphableBasis
from dfa_nerfstudio.preprocessing.morphable.morphable_model import learn_morphable_model
from dfa_nerfstudio.preprocessing.process_config import ProcessConfig
from dfa_nerfstudio.preprocessing.process_video import process_video
from tests.attributes.synthetic import neutral_face


def face_68() -> np.ndarray:
    """Returns a symmetric face with depth."""
    face = neutral_face()
    face[:, 2] = 0.5 - 0.6 * (face[:, :2] ** 2).sum(-1)
    face[27:36, 2] += np.linspace(0.05, 0.35, 9)
    return (face + face[MIRRORED_68] * [-1, 1, 1]) / 2


@dataclass
class Population:
    """People whose faces and expressions are sampled from a known basis."""

    rng: np.random.Generator
    identities: int = 4
    expressions: int = 3

    def __post_init__(self) -> None:
        self.mean = face_68()
        self.identity, self.expression = (
            np.linalg.qr(self.rng.standard_normal((204, count)))[0].reshape(68, 3, count) * size
            for count, size in ((self.identities, 0.4), (self.expressions, 0.3))
        )

    def person(self, frames: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Samples landmarks [T, 68, 3], identity and expression coefficients."""
        identity = self.rng.standard_normal(self.identities)
        expression = self.rng.standard_normal((frames, self.expressions))
        face = self.mean + self.identity @ identity
        return face + np.einsum("tk,ndk->tnd", expression, self.expression), identity, expression


def among_478(landmarks: np.ndarray) -> np.ndarray:
    """Places the 68 landmarks among mediapipe's 478; the others are NaN, because nothing may use them."""
    all_of_them = np.full((len(landmarks), NUM_MESH_LANDMARKS, 3), np.nan)
    all_of_them[:, LANDMARKS_68] = landmarks
    return all_of_them


@pytest.mark.parametrize("handedness", [1, -1])
def test_a_basis_in_other_units_and_axes_is_recovered(tmp_path: Path, handedness: int) -> None:
    rng = np.random.default_rng(0)
    people = Population(rng)
    landmarks, identity, expression = people.person()
    # the file contains a mesh of 300 vertices in millimetres, rotated, shifted, and in one case mirrored
    turn = 90 * Rotation.from_rotvec([0.7, -1.9, 0.4]).as_matrix() * [handedness, 1, 1]
    vertices = rng.permutation(300)[:68]
    mesh = {name: rng.standard_normal((300, 3, count)) for name, count in (("identity", 4), ("expression", 3))}
    mesh["mean"] = rng.standard_normal((300, 3))
    mesh["mean"][vertices] = people.mean @ turn.T + [10, -500, 30]
    for name in ("identity", "expression"):
        mesh[name][vertices] = np.einsum("ij,njk->nik", turn, getattr(people, name))
    np.savez(tmp_path / "basis.npz", landmarks=vertices, **mesh)
    basis = MorphableBasis.load(tmp_path / "basis.npz")

    exact = basis.fit(among_478(landmarks), error=1e-7)
    found = exact.project(among_478(landmarks), error=1e-7)
    np.testing.assert_allclose(exact.reconstruct(found), landmarks, atol=1e-6)
    np.testing.assert_allclose(exact.neutral, people.mean + people.identity @ identity, atol=2e-3)
    np.testing.assert_allclose(exact.identity, identity, atol=0.02)  # the mean expression is part of the face
    np.testing.assert_allclose(found - found.mean(0), expression - expression.mean(0), atol=1e-5)
    np.testing.assert_allclose(exact.project(among_478(exact.reconstruct(found)), error=1e-7), found, atol=1e-5)

    noisy = landmarks + rng.normal(0, 0.01, landmarks.shape)
    model = basis.fit(among_478(noisy))
    np.testing.assert_allclose(model.identity, identity, atol=0.1)
    assert np.abs(model.project(among_478(noisy)) - expression).mean() < 0.05


def test_the_prior_is_weighted_against_the_landmark_error() -> None:
    """For directions as large as the landmark error, half of the observed variance is noise."""
    people = Population(np.random.default_rng(1), expressions=20)
    people.expression *= 0.02 / 0.3
    landmarks, _, expression = people.person(frames=200)
    noisy = landmarks + people.rng.normal(0, 0.02, landmarks.shape)
    prior = np.ones(4), np.ones(20)
    model = MorphableBasis(LANDMARKS_68, people.mean, people.identity, people.expression, *prior).fit(
        among_478(landmarks), error=1e-6
    )
    with_prior, without_prior = (
        np.mean((model.project(among_478(noisy), error) - expression) ** 2) for error in (0.02, 1e-6)
    )
    assert with_prior == pytest.approx(0.5, abs=0.1) and without_prior == pytest.approx(1, abs=0.2)


def test_a_basis_of_many_people_fits_a_new_person(tmp_path: Path) -> None:
    people = Population(np.random.default_rng(2))
    clips = [people.person()[0] + people.rng.normal(0, 0.003, (60, 68, 3)) for _ in range(20)]
    clips = [
        clip * people.rng.uniform(0.9, 1.1) @ Rotation.from_rotvec(people.rng.normal(0, 0.1, 3)).as_matrix()
        for clip in clips
    ]  # head spaces of different clips differ by a similarity
    basis = learn_basis(clips, num_identities=16, num_expressions=8)
    assert basis.identity_std[0] > 3 * basis.identity_std[10]
    basis.save(tmp_path / "basis.npz")
    basis = MorphableBasis.load(tmp_path / "basis.npz")
    first = {"identity": basis.identity[..., :1], "identity_std": basis.identity_std[:1]}
    single = dataclasses.replace(basis, **first)
    for _ in range(3):
        landmarks = people.person()[0]
        errors = []
        for candidate in (basis, single):
            model = candidate.fit(among_478(landmarks))
            own = model.reconstruct(model.project(among_478(landmarks)))
            errors.append(np.sqrt(np.mean((own - landmarks) ** 2)))
        assert errors[0] < 0.5 * errors[1] and errors[0] < 0.02


def test_the_model_of_a_clip_has_its_principal_components() -> None:
    rng = np.random.default_rng(3)
    face = rng.uniform(-0.7, 0.7, (NUM_MESH_LANDMARKS, 3))
    directions = np.linalg.qr(rng.standard_normal((face.size, 2)))[0]
    motion = rng.standard_normal((200, 2)) * [3.0, 1.0]
    landmarks = face + (motion @ directions.T).reshape(200, -1, 3)
    model = learn_morphable_model(landmarks, num_expressions=2)
    assert model.expression_std == pytest.approx(np.sqrt(np.linalg.eigvalsh(np.cov(motion.T, bias=True))[::-1]))
    np.testing.assert_allclose(model.neutral, landmarks.mean(0), atol=1e-12)
    np.testing.assert_allclose(model.reconstruct(model.project(landmarks, error=1e-6)), landmarks, atol=1e-6)


def test_invalid_bases_are_reported_with_file_and_problem(tmp_path: Path) -> None:
    good = {
        "mean": face_68(),
        "identity": np.zeros((68, 3, 2)),
        "expression": np.ones((68, 3, 2)),
        "landmarks": np.arange(68),
    }
    path = tmp_path / "basis.npz"
    nan = good["mean"].copy()
    nan[3] = np.nan
    cases: list[tuple[dict, str]] = [
        ({"identity": None}, "no array identity"),
        ({"mean": face_68().reshape(-1)}, r"mean has the shape \[204\]"),
        ({"identity": np.zeros((70, 3, 2))}, r"identity has the shape \[70, 3, 2\] instead of \[68, 3, any\]"),
        ({"mean": nan}, "mean contains values that are not finite numbers"),
        ({"landmarks": np.arange(67)}, "landmarks must be 68"),
        ({"landmarks": np.arange(68) + 0.5}, "landmarks must be 68"),
        ({"landmarks": np.arange(1, 69)}, "landmarks refers to vertices 1 to 68, but mean has 68"),
        ({"landmarks": np.arange(-1, 67)}, "landmarks refers to"),
        ({"expression": np.zeros((68, 3, 0))}, "expression contains no direction"),
        ({"identity_std": np.ones(3)}, "identity_std has the shape"),
        ({"expression_std": np.zeros(2)}, "expression_std contains numbers that are not positive"),
    ]
    for change, words in cases:
        np.savez(path, **{name: value for name, value in (good | change).items() if value is not None})
        with pytest.raises(UserError, match=f"basis.npz: {words}"):
            MorphableBasis.load(path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(UserError, match=r"basis.npz: unreadable"):
        MorphableBasis.load(path)
    np.savez(path, **good | {"landmarks": np.random.default_rng(0).permutation(68)})
    with pytest.raises(UserError, match="away from this face"):
        MorphableBasis.load(path).fit(among_478(np.repeat(face_68()[None], 4, axis=0)))


def test_dfa_process_fits_a_basis_learnt_from_people(
    demo_clip: tuple[Path, dict], real_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process_video(demo_clip[0], tmp_path / "data/demo", ProcessConfig(size=64))
    process_video(real_clip, tmp_path / "data/real", ProcessConfig(size=64))
    basis = tmp_path / "basis.npz"
    argv = ["dfa-morphable-model", str(tmp_path / "data"), "--output", str(basis), "--num-expressions", "8"]
    monkeypatch.setattr("sys.argv", argv)
    people.main()
    process_video(real_clip, tmp_path / "again", ProcessConfig(size=64, morphable_model=basis))
    before, after = (DatasetFolder.open(tmp_path / name).attributes for name in ("data/real", "again"))
    assert after.mean_shape.shape == (68, 3) and after.identity_basis.shape == (68, 3, 2)
    np.testing.assert_array_equal(before.front_landmarks, after.front_landmarks)
    neutral = after.mean_shape + after.identity_basis @ after.identity
    own = neutral + np.einsum("tk,ndk->tnd", after.expression, after.expression_basis)
    error = np.linalg.norm(own - after.front_landmarks, axis=-1)
    assert error.mean() < 0.02  # outer eye corner distances; the basis was learnt from this person too
    assert np.linalg.norm(neutral - after.front_landmarks, axis=-1).mean() > 1.5 * error.mean()
