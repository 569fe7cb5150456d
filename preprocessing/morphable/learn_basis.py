"""`dfa-morphable-model DATASETS... --output basis.npz`: a morphable model learnt from the people of many datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from jaxtyping import Float

from dfa_nerfstudio.data.dataset_folder import TRANSFORMS, DatasetFolder
from dfa_nerfstudio.errors import UserError, exit_on_user_error
from dfa_nerfstudio.face.head_shape import align
from dfa_nerfstudio.face.topology import LANDMARKS_68, RIGID
from dfa_nerfstudio.preprocessing.morphable.morphable_basis import MorphableBasis
from dfa_nerfstudio.preprocessing.morphable.morphable_model import principal_directions

RIGID_68 = np.isin(LANDMARKS_68, RIGID)
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
"""Which of the 68 landmarks lies where each one lies in the mirror."""


def learn_basis(people: list[Float[np.ndarray, "_ 68 3"]], identities: int, expressions: int) -> MorphableBasis:
    """Learns identity and expression bases from several people's landmarks in head space.

    Every person counts the same, however long the clip, and once more as the mirror shows them: that doubles the
    faces, and no direction is learnt that favours a side by chance. Identity is the PCA of the mean faces, laid over
    each other by a similarity at the points that no expression moves; expression that of what departs from them.

    Args:
        people: per person the 68 landmarks of the training frames.
        identities: at most so many identity directions; two less than twice the people are there.
        expressions: number of expression directions.
    """
    people = people + [frames[:, MIRRORED_68] * [-1, 1, 1] for frames in people]
    faces = np.stack([frames.mean(0) for frames in people])  # [P, 68, 3]
    mean = faces[0]
    for _ in range(5):
        scale, rotation, shift = align(mean[RIGID_68], faces[:, RIGID_68])
        laid = (faces - shift[:, None]) @ rotation / scale[:, None, None]
        mean = laid.mean(0)
        mean = (mean - mean[RIGID_68].mean(0)) / np.linalg.norm(mean[45] - mean[36])  # else it would shrink
    departures = (laid - laid.mean(0)).reshape(len(people), -1)
    spread = departures.T @ departures / (len(people) - 2)  # half of them are mirror images
    identity, identity_std = principal_directions(spread, min(identities, len(people) - 2))
    covariance = np.zeros_like(spread)
    for frames, face, size, turn in zip(people, faces, scale, rotation, strict=True):
        motion = ((frames - face) @ turn / size).reshape(len(frames), -1)
        covariance += motion.T @ motion / (len(frames) * len(people))
    expression, expression_std = principal_directions(covariance, expressions)
    return MorphableBasis(LANDMARKS_68, laid.mean(0), identity, expression, identity_std, expression_std)


def read_people(paths: list[Path]) -> list[Float[np.ndarray, "_ 68 3"]]:
    """The 68 landmarks in the training frames of each dataset folder, of those below a folder that is none itself.

    Raises:
        UserError: if there are fewer than two, or one is damaged.
    """
    folders = [
        transforms.parent
        for path in paths
        for transforms in ([path / TRANSFORMS] if (path / TRANSFORMS).is_file() else sorted(path.rglob(TRANSFORMS)))
    ]
    if len(folders) < 2:
        found = f"only {folders[0]}" if folders else "no dataset folder"
        raise UserError(f"{' '.join(map(str, paths))}: {found}; give those of two people at least")
    people = []
    for path in folders:
        folder = DatasetFolder.open(path)
        attributes = folder.attributes
        usable = attributes.face_found & (attributes.shot >= 0)
        people.append(attributes.front_landmarks[: folder.num_train][usable[: folder.num_train]].astype(np.float64))
    return people


def learn(
    datasets: Annotated[list[Path], tyro.conf.Positional], output: Path, identities: int = 32, expressions: int = 32
) -> None:
    """Learns a morphable model from many people, for `dfa-process --morphable-model`.

    Args:
        datasets: dataset folders, one a person, or folders with such folders in them. Held-out frames are left out.
        output: the `.npz` to write.
        identities: most identity directions to keep.
        expressions: expression directions to keep.
    """
    if output.suffix != ".npz":
        raise UserError(f"{output}: the output must be named .npz")
    if not (identities >= 1 and 1 <= expressions <= 3 * len(LANDMARKS_68)):
        raise UserError("--identities and --expressions: give 1 or more, and no more than 204 expressions")
    people = read_people(datasets)
    basis = learn_basis(people, identities, expressions)
    try:
        basis.save(output)
    except OSError as error:
        raise UserError(f"{output}: cannot be written ({error.strerror})") from None
    print(
        f"{output}: {len(people)} people, {len(basis.identity_std)} identity and {len(basis.expression_std)} "
        "expression directions at 68 landmarks"
    )


def main() -> None:
    """Entry point."""
    with exit_on_user_error():
        tyro.cli(learn, prog="dfa-morphable-model")


if __name__ == "__main__":
    main()
