"""What of a picture is the person, and what of the person is not the head, from what a data folder has of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.preprocessing.adnerf.source_folder import ADNeRFFolder, read_picture

Masks = tuple[UInt8[np.ndarray, "H W"], UInt8[np.ndarray, "H W"]]
"""How much of each pixel is the person, and how much is the person without the head, 0 to 255."""

HEAD, NECK, TORSO, BACKGROUND, HAIR = 0b001, 0b010, 0b100, 0b111, 0b000
"""Labels of `parsing/`: which of blue, green and red are full. A mouth in grey has none full, as black hair."""
FULL = 192
MOST_STRANGE = 0.02
"""Part of a picture that may have colours that are no labels, as where two of them were blended."""


@dataclass
class FoundMasks:
    """Masks that a data folder has for each of its pictures."""

    source: str
    """Where they come from, in words."""
    read: Callable[[int], Masks]
    """Those of a picture by its number."""


def find_masks(folder: ADNeRFFolder) -> FoundMasks | None:
    """The masks that the folder has, if it has any: `parsing/` counts before the alpha of `torso_imgs/` and
    `head_imgs/` together."""
    parsing = folder.numbered("parsing", ".png")
    if _complete(parsing, folder):
        return FoundMasks("parsing", lambda number: read_parsing(parsing[number]))
    torso, head = folder.numbered("torso_imgs", ".png"), folder.numbered("head_imgs", ".png")
    if not (_complete(torso, folder) and _complete(head, folder)):
        return None
    first = int(folder.image_ids[0])
    if not (_has_alpha(_read(torso[first])) and _has_alpha(_read(head[first]))):
        return None
    return FoundMasks("torso_imgs and head_imgs", lambda number: _from_alpha(torso[number], head[number]))


def read_parsing(path: Path) -> Masks:
    """The masks of a picture of labels.

    Raises:
        UserError: if it is unreadable or of other colours.
    """
    picture = read_picture(path)
    label = ((picture >= FULL) * np.array([1, 2, 4], np.uint8)).sum(-1, dtype=np.uint8)
    if not np.isin(label, (HEAD, NECK, TORSO, BACKGROUND, HAIR)).mean() >= 1 - MOST_STRANGE:
        raise UserError(
            f"{path}: its colours are no labels (blue head, green neck, red torso, white background); make it again, "
            "or take the folder parsing away, and the masks are found anew"
        )
    person, torso = label != BACKGROUND, (label == NECK) | (label == TORSO)
    return person.astype(np.uint8) * 255, torso.astype(np.uint8) * 255


def _from_alpha(torso_path: Path, head_path: Path) -> Masks:
    """From two cut-outs. The torso's may go on behind the head, where it was filled in."""
    torso, head = (_read(path) for path in (torso_path, head_path))
    if torso.shape != head.shape or not _has_alpha(torso):
        raise UserError(f"{torso_path}: not transparent as the others are, or of another size than {head_path}")
    return np.maximum(torso[..., 3], head[..., 3]), np.minimum(torso[..., 3], 255 - head[..., 3])


def _has_alpha(picture: UInt8[np.ndarray, "H W ..."]) -> bool:
    return picture.shape[2:] == (4,)


def _read(path: Path) -> UInt8[np.ndarray, "H W C"]:
    return read_picture(path, cv2.IMREAD_UNCHANGED)


def _complete(files: dict[int, Path], folder: ADNeRFFolder) -> bool:
    """Whether there is a file for every picture; a folder that lacks some is broken.

    Raises:
        UserError: for a folder with some of them.
    """
    missing = [number for number in folder.image_ids if number not in files]
    if files and missing:
        name = next(iter(files.values())).parent
        raise UserError(f"{name}: no {missing[0]}.png ({len(missing)} are missing); make it again, or take it away")
    return not missing
