"""The paper's morphable model, Eq. 1: S = S-bar + B_id F_id + B_exp F_exp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

from dfa_nerfstudio.preprocessing.face_topology import RIGID
from dfa_nerfstudio.preprocessing.head_fit import align


@dataclass
class MorphableModel:
    """N landmarks in head space as a mean shape, I identity and K expression directions.

    Example:
        >>> model = learn_morphable_model(canonical, num_expressions=16)  # doctest: +SKIP
        >>> model.reconstruct(model.project(canonical))  # doctest: +SKIP
    """

    mean: Float[np.ndarray, "N 3"]
    """S-bar."""
    identity_basis: Float[np.ndarray, "N 3 I"]
    """B_id, orthonormal."""
    identity: Float[np.ndarray, " I"]
    """F_id of the person."""
    expression_basis: Float[np.ndarray, "N 3 K"]
    """B_exp, orthonormal, the direction of greatest variance first."""

    @property
    def neutral(self) -> Float[np.ndarray, "N 3"]:
        """The person's own mean face, S-bar + B_id F_id."""
        return self.mean + self.identity_basis @ self.identity

    def project(self, landmarks: Float[np.ndarray, "T N 3"]) -> Float[np.ndarray, "T K"]:
        """Expression coefficients F_exp nearest to landmarks in head space."""
        return np.einsum("tnd,ndk->tk", landmarks - self.neutral, self.expression_basis)

    def reconstruct(self, expression: Float[np.ndarray, "T K"]) -> Float[np.ndarray, "T N 3"]:
        """Landmarks in head space by Eq. 1."""
        return self.neutral + np.einsum("tk,ndk->tnd", expression, self.expression_basis)


def learn_morphable_model(landmarks: Float[np.ndarray, "T N 3"], num_expressions: int) -> MorphableModel:
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
    _, directions = np.linalg.eigh(deviations.T @ deviations)  # ascending
    basis = directions[:, ::-1][:, :num_expressions]
    basis = basis * np.sign(basis[np.abs(basis).argmax(0), np.arange(basis.shape[1])])  # an eigenvector has no sign
    return MorphableModel(
        mean=mean,
        identity_basis=(difference / length)[..., None],
        identity=np.array([length]),
        expression_basis=basis.reshape(*own.shape, -1),
    )


def symmetric(face: Float[np.ndarray, "N 3"], rounds: int = 3) -> Float[np.ndarray, "N 3"]:
    """The mean of a face and its mirror image, point by point.

    Which point mirrors which is found by laying the mirror image over the face and pairing nearest points one to one.
    """
    mirrored = face * [-1, 1, 1]
    rigid_mirror = mirrored[RIGID]
    laid = mirrored
    for _ in range(rounds):
        cost = np.linalg.norm(face[:, None] - laid[None], axis=-1)
        partner = linear_sum_assignment(cost)[1]  # face point i lies where the mirror image's point partner[i] lies
        rigid_mirror = mirrored[partner][RIGID]
        scale, rotation, shift = align(rigid_mirror, face[None, RIGID])
        laid = scale[0] * mirrored @ rotation[0].T + shift[0]
    return (face + laid[partner]) / 2
