"""`dfa-morphable-model DATASETS... --output basis.npz`: learns a morphable model from the datasets of many people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from jaxtyping import Float

from dfa_nerfstudio.data.dataset_folder import DatasetFolder, find_dataset_folders
from dfa_nerfstudio.errors import UserError, exit_on_user_error
from dfa_nerfstudio.face.head_shape import fit_similarity
from dfa_nerfstudio.face.topology import LANDMARKS_68, RIGID
from dfa_nerfstudio.preprocessing.morphable.morphable_basis import MorphableBasis
from dfa_nerfstudio.preprocessing.morphable.morphable_model import principal_directions

RIGID_68 = np.isin(LANDMARKS_68, RIGID)
"""Mask of the rigid landmarks among the 68."""
MIRRORED_68 = np.array(
    [
        *range(16, -1, -1),  # jaw
        *range(26, 16, -1),  # brows
        *range(27, 31),  # bridge of the nose
        *range(35, 30, -1),  # below the nose
        *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),  # eyes
        *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),  # outer lips
        *(64, 63, 62, 61, 60, 67, 66, 65),  # inner lips
    ]
)
"""Index of the mirror counterpart of each of the 68 landmarks."""


def learn_basis(people: list[Float[np.ndarray, "_ 68 3"]], num_identities: int, num_expressions: int) -> MorphableBasis:
    """Learns identity and expression bases from several people's landmarks in head space.

    Every person has the same weight, regardless of the length of the clip. Mirror images double the number of faces, so
    that no direction favours one side by chance. The identity basis is the PCA of the mean faces, aligned by a
    similarity at the rigid landmarks; the expression basis is the PCA of the deviations from the mean faces.

    Args:
        people: per person the 68 landmarks of the training frames.
        num_identities: maximum number of identity directions; there are at most twice the number of people minus two.
        num_expressions: number of expression directions.
    """
    people = people + [frames[:, MIRRORED_68] * [-1, 1, 1] for frames in people]
    faces = np.stack([frames.mean(0) for frames in people])  # [P, 68, 3]
    mean = faces[0]
    for _ in range(5):
        scale, rotation, shift = fit_similarity(mean[RIGID_68], faces[:, RIGID_68])
        aligned = (faces - shift[:, None]) @ rotation / scale[:, None, None]
        mean = aligned.mean(0)
        mean = (mean - mean[RIGID_68].mean(0)) / np.linalg.norm(mean[45] - mean[36])  # otherwise it would shrink
    deviations = (aligned - aligned.mean(0)).reshape(len(people), -1)
    identity_covariance = deviations.T @ deviations / (len(people) - 2)  # half of the faces are mirror images
    identity, identity_std = principal_directions(identity_covariance, min(num_identities, len(people) - 2))
    expression_covariance = np.zeros_like(identity_covariance)
    for frames, face, face_scale, face_rotation in zip(people, faces, scale, rotation, strict=True):
        motion = ((frames - face) @ face_rotation / face_scale).reshape(len(frames), -1)
        expression_covariance += motion.T @ motion / (len(frames) * len(people))
    expression, expression_std = principal_directions(expression_covariance, num_expressions)
    return MorphableBasis(LANDMARKS_68, aligned.mean(0), identity, expression, identity_std, expression_std)


def read_train_landmarks(paths: list[Path]) -> list[Float[np.ndarray, "_ 68 3"]]:
    """Reads the 68 landmarks of the training frames of each dataset.

    Args:
        paths: dataset folders, or folders that contain dataset folders.

    Raises:
        UserError: if there are fewer than two datasets, or one is damaged.
    """
    folders = [folder for path in paths for folder in find_dataset_folders(path)]
    if len(folders) < 2:
        found = f"only {folders[0]}" if folders else "no dataset folder"
        raise UserError(f"{' '.join(map(str, paths))}: {found}; give datasets of at least two people")
    people = []
    for path in folders:
        folder = DatasetFolder.open(path)
        attributes = folder.attributes
        valid = attributes.face_found & (attributes.shot >= 0)
        people.append(attributes.front_landmarks[: folder.num_train][valid[: folder.num_train]].astype(np.float64))
    return people


def learn(
    datasets: Annotated[list[Path], tyro.conf.Positional],
    output: Path,
    num_identities: int = 32,
    num_expressions: int = 32,
) -> None:
    """Learns a morphable model from many people, for `dfa-process --morphable-model`.

    Args:
        datasets: dataset folders, one per person, or folders that contain such folders. Held-out frames are not used.
        output: `.npz` file to write.
        num_identities: maximum number of identity directions.
        num_expressions: number of expression directions.
    """
    if output.suffix != ".npz":
        raise UserError(f"{output}: the output file must have the suffix .npz")
    max_expressions = 3 * len(LANDMARKS_68)
    if not (num_identities >= 1 and 1 <= num_expressions <= max_expressions):
        raise UserError(
            f"`num_identities={num_identities}`, `num_expressions={num_expressions}`: give at least 1 each, and at "
            f"most {max_expressions} expressions"
        )
    people = read_train_landmarks(datasets)
    basis = learn_basis(people, num_identities, num_expressions)
    try:
        basis.save(output)
    except OSError as error:
        raise UserError(f"{output}: cannot be written ({error.strerror})") from None
    print(
        f"{output}: {len(people)} people, {len(basis.identity_std)} identity and {len(basis.expression_std)} "
        f"expression directions at {len(LANDMARKS_68)} landmarks"
    )


def main() -> None:
    """Runs `dfa-morphable-model`."""
    with exit_on_user_error():
        tyro.cli(learn, prog="dfa-morphable-model")


if __name__ == "__main__":
    main()
