"""How open the eyes are, from what a data folder has of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.preprocessing.adnerf.source_folder import ADNeRFFolder

BLINK = [10, 9]
"""eyeBlinkRight and eyeBlinkLeft among mediapipe's 52 blendshapes, `_neutral` before them: the eye on the image's left
is the person's right one."""
BLENDSHAPES = 52
USUAL_AU45 = 2.0
"""Intensity of OpenFace's AU45, 0 to 5, of a blink."""
LEAST_BLINK, USUAL_BLINK = 0.25, 0.5
"""Rise of the score that is a blink, and the one taken where none is seen."""
LACKING = 12
"""Rows that may be missing at the end; the last one is held."""


@dataclass
class EyeSignal:
    """T frames of a score that rises as the eyes close, from about 0; to where, depends on the person and the tool."""

    source: str
    """The file's name."""
    closure: Float[np.ndarray, "T 2"]
    """The eye on the image's left first."""
    blendshapes: Float[np.ndarray, "T B"]
    """As in `ClipAttributes`."""

    def opening(self, learn: Bool[np.ndarray, " T"]) -> tuple[Float[np.ndarray, "T 2"], bool]:
        """0 closed to 1 open, and whether the frames to learn from show what a closed eye scores; else it is a guess.

        Open is their 10th percentile, closed their 99th: eyes are closed in about one frame of thirty.
        """
        rest, closed = np.percentile(self.closure[learn], [10, 99], axis=0)
        seen = bool((closed - rest > LEAST_BLINK).all())
        depth = closed - rest if seen else np.full(2, USUAL_BLINK)
        return 1 - np.clip((self.closure - rest) / depth, 0, 1), seen


def read_eyes(folder: ADNeRFFolder, numbers: Int[np.ndarray, " T"]) -> EyeSignal | None:
    """Reads `bs.npy`, else `au.csv`; None where there is neither, and the landmarks have to tell.

    Args:
        folder: the data folder.
        numbers: of the pictures; row N is about picture N.

    Raises:
        UserError: if the file is broken or too short.
    """
    if path := folder.file("bs.npy"):
        scores = _rows(_read_blendshapes(path), numbers, path)
        return EyeSignal(path.name, scores[:, BLINK], scores)
    if path := folder.file("au.csv"):
        closure = _rows(_read_au45(path), numbers, path) / USUAL_AU45
        return EyeSignal(path.name, closure.repeat(2, axis=1), np.zeros((len(numbers), 0)))
    return None


def _read_blendshapes(path: Path) -> Float[np.ndarray, "N 52"]:
    try:
        scores = np.load(path, allow_pickle=False).astype(np.float64)
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise UserError(f"{path}: unreadable ({error}); take it away to use au.csv or the landmarks") from None
    if scores.ndim != 2 or scores.shape[1] != BLENDSHAPES or not np.isfinite(scores).all():
        raise UserError(f"{path}: not {BLENDSHAPES} finite blendshapes a frame; take it away to do without")
    return scores


def _read_au45(path: Path) -> Float[np.ndarray, "N 1"]:
    try:
        lines = path.read_text().splitlines()
        column = [name.strip() for name in lines[0].split(",")].index("AU45_r")
        values = np.array([float(line.split(",")[column]) for line in lines[1:] if line.strip()])
    except (OSError, ValueError, IndexError) as error:
        raise UserError(f"{path}: no readable column AU45_r ({error}); take it away to use the landmarks") from None
    if not np.isfinite(values).all():
        raise UserError(f"{path}: AU45_r is not finite throughout; take it away to use the landmarks")
    return values[:, None]


def _rows(values: Float[np.ndarray, "N D"], numbers: Int[np.ndarray, " T"], path: Path) -> Float[np.ndarray, "T D"]:
    if len(values) + LACKING <= numbers.max():
        raise UserError(
            f"{path}: {len(values)} rows, but pictures go up to number {numbers.max()}; make it again, or take it away"
        )
    return values[np.minimum(numbers, len(values) - 1)]
