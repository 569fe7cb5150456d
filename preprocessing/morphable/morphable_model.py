"""The paper's morphable model, Eq. 1: S = S-bar + B_id F_id + B_exp F_exp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from dfa_nerfstudio.face.head_shape import align
from dfa_nerfstudio.face.topology import NUM_LANDMARKS, RIGID

LANDMARK_ERROR = 0.01
"""How far a landmark is usually off, per coordinate, in outer eye corner distances."""


@dataclass
class MorphableModel:
    """N landmarks of one person in head space as a mean shape, I identity and K expression directions.

    Example:
        >>> model = learn_morphable_model(canonical, num_expressions=16)  # doctest: +SKIP
        >>> model.reconstruct(model.project(canonical))  # doctest: +SKIP
    """

    landmarks: Int[np.ndarray, " N"]
    """Which of the 478 landmarks it consists of."""
    mean: Float[np.ndarray, "N 3"]
    """S-bar."""
    identity_basis: Float[np.ndarray, "N 3 I"]
    """B_id."""
    identity: Float[np.ndarray, " I"]
    """F_id of the person."""
    expression_basis: Float[np.ndarray, "N 3 K"]
    """B_exp."""
    expression_std: Float[np.ndarray, " K"]
    """Standard deviations of F_exp, the prior."""

    @property
    def neutral(self) -> Float[np.ndarray, "N 3"]:
        """The person's own face without expression, S-bar + B_id F_id."""
        return self.mean + self.identity_basis @ self.identity

    def project(
        self, landmarks: Float[np.ndarray, "T 478 3"], error: float = LANDMARK_ERROR
    ) -> Float[np.ndarray, "T K"]:
        """Expression coefficients F_exp: the most probable ones of each frame, by ridge regression.

        Args:
            landmarks: in head space: the pose is taken out.
            error: standard deviation of their coordinates, in head space units.
        """
        basis = self.expression_basis.reshape(-1, len(self.expression_std))  # [N*3, K]
        difference = (landmarks[:, self.landmarks] - self.neutral).reshape(len(landmarks), -1)
        return np.linalg.solve(basis.T @ basis + ridge(self.expression_std, error), basis.T @ difference.T).T

    def reconstruct(self, expression: Float[np.ndarray, "T K"]) -> Float[np.ndarray, "T N 3"]:
        """Landmarks in head space by Eq. 1."""
        return self.neutral + np.einsum("tk,ndk->tnd", expression, self.expression_basis)


def ridge(std: Float[np.ndarray, " K"], error: float) -> Float[np.ndarray, "K K"]:
    """What the prior adds to the normal matrix of coefficients whose measurements err by `error`."""
    return np.diag((error / np.maximum(std, 1e-9)) ** 2)


def learn_morphable_model(landmarks: Float[np.ndarray, "T 478 3"], num_expressions: int) -> MorphableModel:
    """Learns the model from one person's landmarks in head space.

    The expression basis is their PCA. One person shows no variety of faces: the average face is taken to be this one
    made symmetric, and identity is what is left, one direction.

    Args:
        landmarks: training frames only.
        num_expressions: K, at most T - 1.
    """
    own = landmarks.mean(0)
    mean = symmetric(own)
    difference = own - mean
    length = max(float(np.linalg.norm(difference)), 1e-9)
    deviations = (landmarks - own).reshape(len(landmarks), -1)
    basis, std = principal_directions(deviations.T @ deviations / len(landmarks), num_expressions)
    return MorphableModel(
        landmarks=np.arange(NUM_LANDMARKS),
        mean=mean,
        identity_basis=(difference / length)[..., None],
        identity=np.array([length]),
        expression_basis=basis,
        expression_std=std,
    )


def principal_directions(
    covariance: Float[np.ndarray, "D D"], count: int
) -> tuple[Float[np.ndarray, "N 3 K"], Float[np.ndarray, " K"]]:
    """The orthonormal directions of greatest variance of D = 3 N coordinates and their standard deviations."""
    variances, directions = np.linalg.eigh(covariance)  # ascending
    basis = directions[:, ::-1][:, :count]
    basis = basis * np.sign(basis[np.abs(basis).argmax(0), np.arange(basis.shape[1])])  # an eigenvector has no sign
    return basis.reshape(-1, 3, basis.shape[1]), np.sqrt(np.maximum(variances[::-1][:count], 0))


def symmetric(face: Float[np.ndarray, "478 3"], rounds: int = 3) -> Float[np.ndarray, "478 3"]:
    """The mean of a face and its mirror image, point by point.

    Which point mirrors which is found by laying the mirror image over the face and pairing nearest points one to one.
    """
    mirrored = face * [-1, 1, 1]
    laid = mirrored
    for _ in range(rounds):
        cost = np.linalg.norm(face[:, None] - laid[None], axis=-1)
        partner = linear_sum_assignment(cost)[1]  # face point i lies where the mirror image's point partner[i] lies
        scale, rotation, shift = align(mirrored[partner][RIGID], face[None, RIGID])
        laid = scale[0] * mirrored @ rotation[0].T + shift[0]
    return (face + laid[partner]) / 2
