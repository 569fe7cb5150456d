"""Eye openness from a data folder's blendshapes or action units."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.face.landmark_tracker import NUM_BLENDSHAPES
from dfa_nerfstudio.preprocessing.adnerf.source_folder import ADNeRFFolder

BLINK_COLUMNS = [10, 9]
"""Columns of eyeBlinkRight and eyeBlinkLeft among mediapipe's 52 blendshapes, the first of which is `_neutral`. The eye
on the image's left is the person's right eye."""
BLINK_AU45 = 2.0
"""Intensity of OpenFace's AU45, from 0 to 5, in a blink."""
MIN_BLINK_RISE = 0.25
"""Minimum rise of the score in a blink."""
DEFAULT_BLINK_RISE = 0.5
"""Rise of the score in a blink where no blink is observed."""
MAX_MISSING_ROWS = 12
"""Number of rows that may be missing at the end; the last row is repeated."""


@dataclass
class EyeSignal:
    """A score in T frames that rises from about 0 as the eyes close; its maximum depends on the person and the tool."""

    source: str
    """Name of the file that the signal was read from."""
    closure: Float[np.ndarray, "T 2"]
    """Closure score; the eye on the image's left first."""
    blendshapes: Float[np.ndarray, "T B"]
    """Blendshape scores, as `ClipAttributes.blendshapes`."""

    def opening(self, train_mask: Bool[np.ndarray, " T"]) -> tuple[Float[np.ndarray, "T 2"], bool]:
        """Computes the eye openness from 0 (closed) to 1 (open), and whether training frames contain a blink.

        Open is the 10th percentile of the training frames, closed the 99th, because eyes are closed in about one frame
        of thirty. Without a blink `DEFAULT_BLINK_RISE` is used.
        """
        rest, closed = np.percentile(self.closure[train_mask], [10, 99], axis=0)
        blinks_observed = bool((closed - rest > MIN_BLINK_RISE).all())
        rise = closed - rest if blinks_observed else np.full(2, DEFAULT_BLINK_RISE)
        return 1 - np.clip((self.closure - rest) / rise, 0, 1), blinks_observed


def read_eyes(folder: ADNeRFFolder, image_numbers: Int[np.ndarray, " T"]) -> EyeSignal | None:
    """Reads `bs.npy`, otherwise `au.csv`; returns None if the folder has neither.

    Args:
        folder: the data folder.
        image_numbers: number of each frame's image; row N of the file belongs to image N.

    Raises:
        UserError: if the file is damaged or too short.
    """
    if path := folder.file("bs.npy"):
        scores = _rows(_read_blendshapes(path), image_numbers, path)
        return EyeSignal(path.name, scores[:, BLINK_COLUMNS], scores)
    if path := folder.file("au.csv"):
        closure = _rows(_read_au45(path), image_numbers, path) / BLINK_AU45
        return EyeSignal(path.name, closure.repeat(2, axis=1), np.zeros((len(image_numbers), 0)))
    return None


def _read_blendshapes(path: Path) -> Float[np.ndarray, "N 52"]:
    try:
        scores = np.load(path, allow_pickle=False).astype(np.float64)
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise UserError(f"{path}: unreadable ({error}); delete it to use au.csv or the landmarks") from None
    if scores.ndim != 2 or scores.shape[1] != NUM_BLENDSHAPES or not np.isfinite(scores).all():
        raise UserError(
            f"{path}: not {NUM_BLENDSHAPES} finite scores per frame; delete it to use au.csv or the landmarks"
        )
    return scores


def _read_au45(path: Path) -> Float[np.ndarray, "N 1"]:
    try:
        lines = path.read_text().splitlines()
        column = [name.strip() for name in lines[0].split(",")].index("AU45_r")
        values = np.array([float(line.split(",")[column]) for line in lines[1:] if line.strip()])
    except (OSError, ValueError, IndexError) as error:
        raise UserError(f"{path}: no readable column AU45_r ({error}); delete it to use the landmarks") from None
    if not np.isfinite(values).all():
        raise UserError(f"{path}: AU45_r holds numbers that are not finite; delete it to use the landmarks")
    return values[:, None]


def _rows(
    values: Float[np.ndarray, "N D"], image_numbers: Int[np.ndarray, " T"], path: Path
) -> Float[np.ndarray, "T D"]:
    if len(values) + MAX_MISSING_ROWS <= image_numbers.max():
        raise UserError(
            f"{path}: {len(values)} rows, but image numbers reach {image_numbers.max()}; compute it again or delete it"
        )
    return values[np.minimum(image_numbers, len(values) - 1)]
