"""Eye openness from a data folder's blendshapes or action units."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from dfa_nerfstudio.errors import UserError, brief
from dfa_nerfstudio.face.landmark_tracker import NUM_BLENDSHAPES
from dfa_nerfstudio.media.npz import MAX_MAGNITUDE, load_npy
from dfa_nerfstudio.media.rates import FRAME_RATE
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
"""Number of rows that may be missing; a neighbouring row is used for them."""


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
        image_numbers: number of each frame's image. Row N of `bs.npy` belongs to image N; the rows of `au.csv` have
            times.

    Raises:
        UserError: if the file is damaged or too short.
    """
    if path := folder.file("bs.npy"):
        scores = _rows(_read_blendshapes(path), image_numbers, path)
        return EyeSignal(path.name, scores[:, BLINK_COLUMNS], scores)
    if path := folder.file("au.csv"):
        closure = _read_au45(path, image_numbers) / BLINK_AU45
        return EyeSignal(path.name, closure.repeat(2, axis=1), np.zeros((len(image_numbers), 0)))
    return None


def _read_blendshapes(path: Path) -> Float[np.ndarray, "N 52"]:
    scores = load_npy(path)
    is_table = scores.dtype.kind in "fiu" and scores.ndim == 2 and scores.shape[1] == NUM_BLENDSHAPES
    if not is_table or not len(scores) or not (np.abs(scores) <= MAX_MAGNITUDE).all():
        raise UserError(
            f"{path}: not {NUM_BLENDSHAPES} finite scores per frame; delete it to use au.csv or the landmarks"
        )
    return scores.astype(np.float64)


def _read_au45(path: Path, image_numbers: Int[np.ndarray, " T"]) -> Float[np.ndarray, "T 1"]:
    """Reads AU45 of the main face at the time of each image, from a file of any frame rate.

    Image N is at N / 25 s. Rows without success are left out, and gaps are interpolated.
    """
    try:
        with path.open(newline="") as file:
            rows = [
                {name.strip(): value for name, value in row.items() if isinstance(value, str)}
                for row in csv.DictReader(file)
            ]
        faces = Counter(row.get("face_id", "0").strip() for row in rows if float(row.get("success", 1)))
        main = faces.most_common(1)[0][0]
        used = [row for row in rows if row.get("face_id", "0").strip() == main and float(row.get("success", 1))]
        values = np.array([float(row["AU45_r"]) for row in used])
        times = np.array([_time(row, number) for number, row in enumerate(used)])
    except (OSError, ValueError, IndexError, KeyError, csv.Error) as error:
        raise UserError(f"{path}: no readable column AU45_r ({brief(error)}); delete it to use the landmarks") from None
    if not (np.isfinite(values).all() and np.isfinite(times).all() and (np.diff(times) > 0).all()):
        raise UserError(
            f"{path}: AU45_r or timestamp holds numbers that are not finite, or times that do not increase; delete it "
            "to use the landmarks"
        )
    wanted = image_numbers / FRAME_RATE
    after = np.searchsorted(times, wanted).clip(0, len(times) - 1)
    before = np.maximum(after - 1, 0)
    distance = np.minimum(np.abs(times[after] - wanted), np.abs(times[before] - wanted))
    missing = distance > MAX_MISSING_ROWS / FRAME_RATE
    if missing.any():
        raise UserError(
            f"{path}: has no row near {wanted[missing][0]:.2f} s, an image's time; compute it again from the video of "
            "the images, or delete it to use the landmarks"
        )
    return np.interp(wanted, times, values)[:, None]


def _time(row: dict[str, str], number: int) -> float:
    """Time of a row in seconds, by its timestamp, else by its frame number, else by its place in the file."""
    if "timestamp" in row:
        return float(row["timestamp"])
    return (float(row["frame"]) - 1 if "frame" in row else number) / FRAME_RATE


def _rows(
    values: Float[np.ndarray, "N D"], image_numbers: Int[np.ndarray, " T"], path: Path
) -> Float[np.ndarray, "T D"]:
    if len(values) + MAX_MISSING_ROWS <= image_numbers.max():
        raise UserError(
            f"{path}: {len(values)} rows, but image numbers reach {image_numbers.max()}; compute it again or delete it"
        )
    return values[np.minimum(image_numbers, len(values) - 1)]
