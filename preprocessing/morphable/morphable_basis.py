"""Morphable models of many people, in units and axes of their own, and their fit to one person."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.face.head_shape import fit_similarity
from dfa_nerfstudio.face.topology import LANDMARKS_68, NUM_MESH_LANDMARKS
from dfa_nerfstudio.media.npz import load_npz, save_npz
from dfa_nerfstudio.preprocessing.morphable.morphable_model import LANDMARK_ERROR, MorphableModel, ridge_penalty

LANDMARK_SETS = {len(LANDMARKS_68): LANDMARKS_68, NUM_MESH_LANDMARKS: np.arange(NUM_MESH_LANDMARKS)}
"""Indices of mediapipe's landmarks for each supported number of landmarks."""
MAX_MISFIT = 0.2
"""Maximum root mean square distance between the fitted model and the face, in outer eye corner distances."""
MAX_ITERATIONS = 30


@dataclass
class MorphableBasis:
    """Mean, identity and expression bases at N landmarks (Eq. 1), in any units, before they are fitted to a person.

    Example:
        >>> basis = MorphableBasis.load(Path("basis.npz"))  # doctest: +SKIP
        >>> model = basis.fit(canonical[:num_train])  # doctest: +SKIP
        >>> model.project(canonical)  # doctest: +SKIP
    """

    landmarks: Int[np.ndarray, " N"]
    """Indices of the model's landmarks among the 478."""
    mean: Float[np.ndarray, "N 3"]
    identity: Float[np.ndarray, "N 3 I"]
    expression: Float[np.ndarray, "N 3 K"]
    identity_std: Float[np.ndarray, " I"]
    """Standard deviations of F_id over people."""
    expression_std: Float[np.ndarray, " K"]
    """Standard deviations of F_exp over time."""

    @classmethod
    def load(cls, path: Path) -> MorphableBasis:
        """Reads and validates an `.npz` file.

        It contains `mean` [V, 3], `identity` [V, 3, I], `expression` [V, 3, K] of a mesh of V vertices, and
        `landmarks`: the vertices of the paper's 68 landmarks or of mediapipe's 478, in their order. `identity_std` [I]
        and `expression_std` [K] default to 1, for bases that are scaled by their standard deviations.

        Raises:
            UserError: if an array is missing, has a wrong shape or is not finite, or an index is out of range.
        """
        arrays = load_npz(path)
        missing = [name for name in ("mean", "identity", "expression", "landmarks") if name not in arrays]
        if missing:
            raise UserError(f"{path}: no array {', '.join(missing)}; a morphable model needs it")
        num_vertices = len(arrays["mean"]) if arrays["mean"].ndim else 0
        shapes = {"mean": (num_vertices, 3), "identity": (num_vertices, 3, None), "expression": (num_vertices, 3, None)}
        for name, expected in shapes.items():
            shape = arrays[name].shape
            if len(shape) != len(expected) or any(
                want not in (None, size) for want, size in zip(expected, shape, strict=True)
            ):
                sizes = ", ".join("any" if want is None else str(want) for want in expected)
                raise UserError(f"{path}: {name} has the shape {list(shape)} instead of [{sizes}]")
        for basis in ("identity", "expression"):
            std = arrays.setdefault(f"{basis}_std", np.ones(arrays[basis].shape[2]))
            if std.shape != (arrays[basis].shape[2],):
                raise UserError(f"{path}: {basis}_std has the shape {list(std.shape)}, one per direction is needed")
            if std.dtype.kind in "fiu" and not (std > 0).all():
                raise UserError(f"{path}: {basis}_std contains numbers that are not positive")
        for name in (*shapes, "identity_std", "expression_std"):
            if arrays[name].dtype.kind not in "fiu" or not np.isfinite(arrays[name]).all():
                raise UserError(f"{path}: {name} contains values that are not finite numbers")
        if not arrays["expression"].shape[2]:
            raise UserError(f"{path}: expression contains no direction")
        landmarks = arrays["landmarks"]
        if landmarks.ndim != 1 or len(landmarks) not in LANDMARK_SETS or landmarks.dtype.kind not in "iu":
            raise UserError(
                f"{path}: landmarks must be 68 or {NUM_MESH_LANDMARKS} integers, the vertices of the landmarks; it is "
                f"{landmarks.dtype} of shape {list(landmarks.shape)}"
            )
        if landmarks.min() < 0 or landmarks.max() >= num_vertices:
            indices = f"{landmarks.min()} to {landmarks.max()}"
            raise UserError(f"{path}: landmarks refers to vertices {indices}, but mean has {num_vertices}")
        rows = {name: arrays[name][landmarks].astype(np.float64) for name in shapes}
        deviations = {name: arrays[name].astype(np.float64) for name in ("identity_std", "expression_std")}
        return cls(LANDMARK_SETS[len(landmarks)], **rows, **deviations)

    def save(self, path: Path) -> None:
        """Writes an `.npz` file that `load` reads, atomically."""
        save_npz(path, vars(self) | {"landmarks": np.arange(len(self.landmarks))})

    def fit(self, landmarks: Float[np.ndarray, "T 478 3"], error: float = LANDMARK_ERROR) -> MorphableModel:
        """Fits the basis to one person: the similarity that maps it to head space, and the most probable F_id.

        All frames together count as one, because they share their errors; therefore their mean face is sufficient. Its
        difference from Eq. 1 is linear in F_id, in the mean F_exp and, to first order, in the similarity. All are
        solved for together until the similarity converges.

        Args:
            landmarks: landmarks of training frames in head space.
            error: standard deviation of their coordinates, in head space units.

        Raises:
            UserError: if the fitted model is far from the face.
        """
        face = landmarks[:, self.landmarks].mean(0)  # [N, 3]
        candidates = [self._fit(face, handedness, error) for handedness in (1.0, -1.0)]
        misfit, model = min(candidates, key=lambda candidate: candidate[0])
        if misfit > MAX_MISFIT:
            raise UserError(
                f"`morphable_model`: its landmarks are {misfit:.2f} outer eye corner distances away from this face; "
                f"the array landmarks must list the paper's 68, or mediapipe's {NUM_MESH_LANDMARKS}, in their order"
            )
        return model

    def _fit(self, face: Float[np.ndarray, "N 3"], handedness: float, error: float) -> tuple[float, MorphableModel]:
        """Returns misfit and model, for one of the two directions of the basis' first axis."""
        flip = np.array([handedness, 1.0, 1.0])
        (scale,), (rotation,), (shift,) = fit_similarity(self.mean * flip, face[None])
        num_identities = self.identity.shape[2]
        prior = ridge_penalty(np.concatenate([np.full(7, np.inf), self.identity_std, self.expression_std]), error)
        coefficients = np.zeros(num_identities + self.expression.shape[2])
        for _ in range(MAX_ITERATIONS):
            linear = scale * rotation * flip  # [3, 3]
            mean = self.mean @ linear.T + shift
            bases = np.einsum("ij,njk->nik", linear, np.concatenate([self.identity, self.expression], -1))
            shape = mean + bases @ coefficients
            centred = shape - shape.mean(0)
            by_rotation = np.cross(np.eye(3), centred[:, None]).transpose(
                0, 2, 1
            )  # of a small rotation about each axis
            by_shift = np.broadcast_to(np.eye(3), by_rotation.shape)
            columns = np.concatenate([by_shift, by_rotation, centred[..., None], bases], -1).reshape(face.size, -1)
            solution = np.linalg.solve(columns.T @ columns + prior, columns.T @ (face - mean).reshape(-1))
            step, coefficients = solution[:7], solution[7:]
            step_rotation = Rotation.from_rotvec(step[3:6]).as_matrix()
            shift = (1 + step[6]) * step_rotation @ (shift - shape.mean(0)) + shape.mean(0) + step[:3]
            rotation, scale = step_rotation @ rotation, (1 + step[6]) * scale
            if np.abs(step).max() < 1e-12:
                break
        linear = scale * rotation * flip
        model = MorphableModel(
            landmarks=self.landmarks,
            mean=self.mean @ linear.T + shift,
            identity_basis=np.einsum("ij,njk->nik", linear, self.identity),
            identity=coefficients[:num_identities],
            expression_basis=np.einsum("ij,njk->nik", linear, self.expression),
            expression_std=self.expression_std,
        )
        difference = face - model.reconstruct(coefficients[None, num_identities:])[0]
        return float(np.sqrt(np.mean(np.sum(difference**2, -1)))), model
