"""The paper's morphable model, Eq. 1: S = S-bar + B_id F_id + B_exp F_exp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from dfa_nerfstudio.face.head_shape import fit_similarity
from dfa_nerfstudio.face.topology import NUM_MESH_LANDMARKS, RIGID

LANDMARK_ERROR = 0.01
"""Default standard deviation of a landmark's coordinate, in outer eye corner distances."""


@dataclass
class MorphableModel:
    """N landmarks of one person in head space: a mean shape, I identity and K expression directions.

    Example:
        >>> model = learn_morphable_model(canonical, num_expressions=16)  # doctest: +SKIP
        >>> model.reconstruct(model.project(canonical))  # doctest: +SKIP
    """

    landmarks: Int[np.ndarray, " N"]
    """Indices of the model's landmarks among the 478."""
    mean: Float[np.ndarray, "N 3"]
    """Mean shape S-bar."""
    identity_basis: Float[np.ndarray, "N 3 I"]
    """Identity basis B_id."""
    identity: Float[np.ndarray, " I"]
    """Identity coefficients F_id of the person."""
    expression_basis: Float[np.ndarray, "N 3 K"]
    """Expression basis B_exp."""
    expression_std: Float[np.ndarray, " K"]
    """Prior standard deviations of the expression coefficients F_exp."""

    @property
    def neutral(self) -> Float[np.ndarray, "N 3"]:
        """Neutral face of the person, S-bar + B_id F_id."""
        return self.mean + self.identity_basis @ self.identity

    def project(
        self, landmarks: Float[np.ndarray, "T 478 3"], error: float = LANDMARK_ERROR
    ) -> Float[np.ndarray, "T K"]:
        """Returns the most probable expression coefficients F_exp of each frame, by ridge regression.

        Args:
            landmarks: in head space, without the head pose.
            error: standard deviation of their coordinates, in head space units.
        """
        basis = self.expression_basis.reshape(-1, len(self.expression_std))  # [N*3, K]
        difference = (landmarks[:, self.landmarks] - self.neutral).reshape(len(landmarks), -1)
        return np.linalg.solve(basis.T @ basis + ridge_penalty(self.expression_std, error), basis.T @ difference.T).T

    def reconstruct(self, expression: Float[np.ndarray, "T K"]) -> Float[np.ndarray, "T N 3"]:
        """Returns landmarks in head space, by Eq. 1."""
        return self.neutral + np.einsum("tk,ndk->tnd", expression, self.expression_basis)


def ridge_penalty(std: Float[np.ndarray, " K"], error: float) -> Float[np.ndarray, "K K"]:
    """Returns the prior's term in the normal matrix, for coefficients of deviations `std` and measurement noise
    `error`."""
    return np.diag((error / np.maximum(std, 1e-9)) ** 2)


def learn_morphable_model(landmarks: Float[np.ndarray, "T 478 3"], num_expressions: int) -> MorphableModel:
    """Learns the model from one person's landmarks in head space.

    The expression basis is their PCA. One person shows no variation of identity. Therefore the mean shape is this
    person's face made symmetric, and identity is one direction: the difference from it.

    Args:
        landmarks: landmarks of training frames.
        num_expressions: K, at most T - 1.
    """
    person_mean = landmarks.mean(0)
    mean = symmetrize(person_mean)
    difference = person_mean - mean
    length = max(float(np.linalg.norm(difference)), 1e-9)
    deviations = (landmarks - person_mean).reshape(len(landmarks), -1)
    basis, std = principal_directions(deviations.T @ deviations / len(landmarks), num_expressions)
    return MorphableModel(
        landmarks=np.arange(NUM_MESH_LANDMARKS),
        mean=mean,
        identity_basis=(difference / length)[..., None],
        identity=np.array([length]),
        expression_basis=basis,
        expression_std=std,
    )


def principal_directions(
    covariance: Float[np.ndarray, "D D"], num_directions: int
) -> tuple[Float[np.ndarray, "N 3 K"], Float[np.ndarray, " K"]]:
    """Returns the orthonormal directions of largest variance of D = 3 N coordinates, and their standard deviations."""
    variances, directions = np.linalg.eigh(covariance)  # ascending
    basis = directions[:, ::-1][:, :num_directions]
    signs = np.sign(
        basis[np.abs(basis).argmax(0), np.arange(basis.shape[1])]
    )  # the sign of an eigenvector is arbitrary
    basis = basis * signs
    return basis.reshape(-1, 3, basis.shape[1]), np.sqrt(np.maximum(variances[::-1][:num_directions], 0))


def symmetrize(face: Float[np.ndarray, "478 3"], num_rounds: int = 3) -> Float[np.ndarray, "478 3"]:
    """Returns the mean of a face and its mirror image.

    Corresponding points are found by aligning the mirror image with the face and pairing nearest points one to one.
    """
    mirrored = face * [-1, 1, 1]
    aligned = mirrored
    for _ in range(num_rounds):
        cost = np.linalg.norm(face[:, None] - aligned[None], axis=-1)
        partner = linear_sum_assignment(cost)[1]  # point i of the face corresponds to the mirror image's partner[i]
        scale, rotation, shift = fit_similarity(mirrored[partner][RIGID], face[None, RIGID])
        aligned = scale[0] * mirrored @ rotation[0].T + shift[0]
    return (face + aligned[partner]) / 2
