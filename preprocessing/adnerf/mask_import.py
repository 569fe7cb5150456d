"""Person masks and torso masks from a data folder's parsing maps or alpha images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.images import read_bgr
from dfa_nerfstudio.preprocessing.adnerf.source_folder import ADNeRFFolder

PersonAndTorso = tuple[UInt8[np.ndarray, "H W"], UInt8[np.ndarray, "H W"]]
"""Alpha of the person and alpha of the person without the head, 0 to 255."""

HEAD, NECK, TORSO, BACKGROUND, HAIR = 0b001, 0b010, 0b100, 0b111, 0b000
"""Labels of `parsing/` as bits of blue (1), green (2) and red (4). A grey mouth has no bit set, like black hair."""
LABEL_THRESHOLD = 192
"""Smallest value of a colour channel that sets its bit."""
MAX_UNKNOWN_COLOURS = 0.02
"""Largest share of an image that may have colours that are no labels, where two labels were blended."""


@dataclass
class MaskSource:
    """The masks of a data folder's images."""

    source: str
    """Source of the masks, in words."""
    read: Callable[[int], PersonAndTorso]
    """Reads the masks of an image by its number."""


def find_masks(folder: ADNeRFFolder) -> MaskSource | None:
    """Finds the data folder's masks: `parsing/`, otherwise the alpha of `torso_imgs/` and `head_imgs/` together,
    otherwise None."""
    parsing = folder.numbered("parsing", ".png")
    if _complete(parsing, folder):
        return MaskSource("parsing", lambda number: read_parsing(parsing[number]))
    torso, head = folder.numbered("torso_imgs", ".png"), folder.numbered("head_imgs", ".png")
    if not (_complete(torso, folder) and _complete(head, folder)):
        return None
    first = int(folder.image_ids[0])
    if not (_has_alpha(_read(torso[first])) and _has_alpha(_read(head[first]))):
        return None
    return MaskSource("torso_imgs and head_imgs", lambda number: _from_alpha(torso[number], head[number]))


def read_parsing(path: Path) -> PersonAndTorso:
    """Reads the masks from a parsing map.

    Raises:
        UserError: if it is unreadable or has other colours.
    """
    image = read_bgr(path)
    label = ((image >= LABEL_THRESHOLD) * np.array([1, 2, 4], np.uint8)).sum(-1, dtype=np.uint8)
    if not np.isin(label, (HEAD, NECK, TORSO, BACKGROUND, HAIR)).mean() >= 1 - MAX_UNKNOWN_COLOURS:
        raise UserError(
            f"{path}: its colours are no labels (blue head, green neck, red torso, white background); create it again, "
            "or delete the folder parsing to segment the images"
        )
    person, torso = label != BACKGROUND, (label == NECK) | (label == TORSO)
    return person.astype(np.uint8) * 255, torso.astype(np.uint8) * 255


def _from_alpha(torso_path: Path, head_path: Path) -> PersonAndTorso:
    """Reads the masks from two alpha images; the torso image may continue behind the head, where it was inpainted."""
    torso, head = (_read(path) for path in (torso_path, head_path))
    if torso.shape != head.shape or not _has_alpha(torso):
        raise UserError(f"{torso_path}: has no alpha channel or another size than {head_path}; create it again")
    return np.maximum(torso[..., 3], head[..., 3]), np.minimum(torso[..., 3], 255 - head[..., 3])


def _has_alpha(image: UInt8[np.ndarray, "H W ..."]) -> bool:
    return image.shape[2:] == (4,)


def _read(path: Path) -> UInt8[np.ndarray, "H W C"]:
    return read_bgr(path, cv2.IMREAD_UNCHANGED)


def _complete(files: dict[int, Path], folder: ADNeRFFolder) -> bool:
    """Whether there is a file for every image.

    Raises:
        UserError: if some of the files are missing.
    """
    missing = [number for number in folder.image_ids if number not in files]
    if files and missing:
        name = next(iter(files.values())).parent
        raise UserError(f"{name}: no {missing[0]}.png ({len(missing)} missing); create it again, or delete the folder")
    return not missing
