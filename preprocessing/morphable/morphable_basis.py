"""Morphable models made elsewhere or of many people: a basis in units and axes of its own, laid over one person."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.face.head_shape import align
from dfa_nerfstudio.face.topology import LANDMARKS_68, NUM_LANDMARKS
from dfa_nerfstudio.media.npz import load_npz
from dfa_nerfstudio.preprocessing.morphable.morphable_model import LANDMARK_ERROR, MorphableModel, ridge

LANDMARK_SETS = {len(LANDMARKS_68): LANDMARKS_68, NUM_LANDMARKS: np.arange(NUM_LANDMARKS)}
"""Which of mediapipe's landmarks a basis with so many landmarks is about."""
MISFIT = 0.2
"""In outer eye corner distances: a model whose landmarks lie farther off, root mean square, is not one of faces."""
ROUNDS = 30


@dataclass
class MorphableBasis:
    """Mean, identities and expressions at N landmarks (Eq. 1) before they are a person's: no F_id yet, any units.

    Example:
        >>> basis = MorphableBasis.load(Path("basis.npz"))  # doctest: +SKIP
        >>> model = basis.fit(canonical[:num_train])  # doctest: +SKIP
        >>> model.project(canonical)  # doctest: +SKIP
    """

    landmarks: Int[np.ndarray, " N"]
    """Which of the 478 landmarks it consists of."""
    mean: Float[np.ndarray, "N 3"]
    identity: Float[np.ndarray, "N 3 I"]
    expression: Float[np.ndarray, "N 3 K"]
    identity_std: Float[np.ndarray, " I"]
    """Standard deviations of F_id over people."""
    expression_std: Float[np.ndarray, " K"]
    """Standard deviations of F_exp over time."""

    @classmethod
    def load(cls, path: Path) -> MorphableBasis:
        """Reads and checks an `.npz`.

        It holds `mean` [V, 3], `identity` [V, 3, I], `expression` [V, 3, K] of a mesh of V vertices and `landmarks`:
        the vertices of the paper's 68 landmarks or of mediapipe's 478, in their order. `identity_std` [I] and
        `expression_std` [K] are 1 where they are missing: the bases are then scaled by them.

        Raises:
            UserError: if an array is missing, of the wrong shape or not finite, or an index out of range.
        """
        arrays = load_npz(path)
        missing = [name for name in ("mean", "identity", "expression", "landmarks") if name not in arrays]
        if missing:
            raise UserError(f"{path}: no array {', '.join(missing)}; a morphable model needs them")
        vertices = len(arrays["mean"]) if arrays["mean"].ndim else 0
        shapes = {"mean": (vertices, 3), "identity": (vertices, 3, None), "expression": (vertices, 3, None)}
        for name, shape in shapes.items():
            found = arrays[name].shape
            if len(found) != len(shape) or any(want not in (None, got) for want, got in zip(shape, found, strict=True)):
                words = ", ".join("any" if want is None else str(want) for want in shape)
                raise UserError(f"{path}: {name} has the shape {list(found)} instead of [{words}]")
        for basis in ("identity", "expression"):
            std = arrays.setdefault(f"{basis}_std", np.ones(arrays[basis].shape[2]))
            if std.shape != (arrays[basis].shape[2],):
                raise UserError(f"{path}: {basis}_std has the shape {list(std.shape)}, one per direction is needed")
            if std.dtype.kind in "fiu" and not (std > 0).all():
                raise UserError(f"{path}: {basis}_std holds numbers that are not above 0")
        for name in (*shapes, "identity_std", "expression_std"):
            if arrays[name].dtype.kind not in "fiu" or not np.isfinite(arrays[name]).all():
                raise UserError(f"{path}: {name} holds what is no finite number")
        if not arrays["expression"].shape[2]:
            raise UserError(f"{path}: expression has no direction in it")
        landmarks = arrays["landmarks"]
        if landmarks.ndim != 1 or len(landmarks) not in LANDMARK_SETS or landmarks.dtype.kind not in "iu":
            raise UserError(
                f"{path}: landmarks must be 68 or {NUM_LANDMARKS} whole numbers, the vertices of the landmarks; it is "
                f"{landmarks.dtype} of shape {list(landmarks.shape)}"
            )
        if landmarks.min() < 0 or landmarks.max() >= vertices:
            named = f"{landmarks.min()} to {landmarks.max()}"
            raise UserError(f"{path}: landmarks names vertices {named}, but mean has {vertices}")
        rows = {name: arrays[name][landmarks].astype(np.float64) for name in shapes}
        deviations = {name: arrays[name].astype(np.float64) for name in ("identity_std", "expression_std")}
        return cls(LANDMARK_SETS[len(landmarks)], **rows, **deviations)

    def save(self, path: Path) -> None:
        """Writes an `.npz` that `load` reads, whole or not at all."""
        arrays = vars(self) | {"landmarks": np.arange(len(self.landmarks))}
        with atomic_write(path) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)

    def fit(self, landmarks: Float[np.ndarray, "T 478 3"], error: float = LANDMARK_ERROR) -> MorphableModel:
        """Lays the basis over one person: the similarity that takes it to head space, and the most probable F_id.

        However many frames there are, they count as one: they share their errors. So the mean face tells it all: its
        difference from Eq. 1 is linear in F_id, in the mean F_exp and, to first order, in the similarity, which are
        solved for together until the similarity no longer changes.

        Args:
            landmarks: in head space; training frames only.
            error: standard deviation of their coordinates, in head space units.

        Raises:
            UserError: if the basis does not look like this face at all.
        """
        face = landmarks[:, self.landmarks].mean(0)  # [N, 3]
        candidates = [self._fit(face, handedness, error) for handedness in (1.0, -1.0)]
        misfit, model = min(candidates, key=lambda candidate: candidate[0])
        if misfit > MISFIT:
            raise UserError(
                f"--morphable-model: its landmarks lie {misfit:.2f} outer eye corner distances off this face; give its "
                f"`landmarks` in the order of the paper's 68, or of mediapipe's {NUM_LANDMARKS}"
            )
        return model

    def _fit(self, face: Float[np.ndarray, "N 3"], handedness: float, error: float) -> tuple[float, MorphableModel]:
        """The misfit and the model, for axes of which the first points the one way or the other."""
        flip = np.array([handedness, 1.0, 1.0])
        (scale,), (rotation,), (shift,) = align(self.mean * flip, face[None])
        people = self.identity.shape[2]
        prior = ridge(np.concatenate([np.full(7, np.inf), self.identity_std, self.expression_std]), error)
        coefficients = np.zeros(people + self.expression.shape[2])
        for _ in range(ROUNDS):
            turn = scale * rotation * flip  # [3, 3]
            mean = self.mean @ turn.T + shift
            bases = np.einsum("ij,njk->nik", turn, np.concatenate([self.identity, self.expression], -1))
            shape = mean + bases @ coefficients
            about = shape - shape.mean(0)
            spin = np.cross(np.eye(3), about[:, None]).transpose(0, 2, 1)  # of a small turn about each axis
            move = np.broadcast_to(np.eye(3), spin.shape)
            columns = np.concatenate([move, spin, about[..., None], bases], -1).reshape(face.size, -1)
            solution = np.linalg.solve(columns.T @ columns + prior, columns.T @ (face - mean).reshape(-1))
            step, coefficients = solution[:7], solution[7:]
            spun = Rotation.from_rotvec(step[3:6]).as_matrix()
            shift = (1 + step[6]) * spun @ (shift - shape.mean(0)) + shape.mean(0) + step[:3]
            rotation, scale = spun @ rotation, (1 + step[6]) * scale
            if np.abs(step).max() < 1e-12:
                break
        turn = scale * rotation * flip
        model = MorphableModel(
            landmarks=self.landmarks,
            mean=self.mean @ turn.T + shift,
            identity_basis=np.einsum("ij,njk->nik", turn, self.identity),
            identity=coefficients[:people],
            expression_basis=np.einsum("ij,njk->nik", turn, self.expression),
            expression_std=self.expression_std,
        )
        off = face - model.reconstruct(coefficients[None, people:])[0]
        return float(np.sqrt(np.mean(np.sum(off**2, -1)))), model
