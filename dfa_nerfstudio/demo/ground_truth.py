"""How well a dataset folder of the demo subject matches the truth that was rendered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.media.npz import load_npz


def compare_with_truth(folder: DatasetFolder, truth_file: Path) -> dict[str, float]:
    """Tracking errors over all frames.

    Args:
        folder: made by dfa-process from the demo clip.
        truth_file: the clip's `.truth.npz`.

    Returns:
        Rotation error in degrees (see `rotation_error`), focal length error (relative), the correlation of mouth
        opening and eye opening (mean of both eyes), the number of blinks, of those missed and of those invented.
    """
    truth, found = load_npz(truth_file), folder.attributes
    focal = (folder.meta["fl_x"] / folder.size[0]) / (truth["focal_length"] / truth["size"])
    start, _, end = truth["blinks"].T
    whole = end < len(truth["head_to_camera"]) / truth["fps"]  # one that the film's end cuts off may count or not
    within = (start[:, None] < found.blinks[:, 1]) & (found.blinks[:, 1] < end[:, None])  # [true, found]
    return {
        "rotation_error_degrees": rotation_error(found.head_to_camera[:, :3, :3], truth_file),
        "focal_length_error": float(focal - 1),
        "mouth_opening_correlation": _correlation(found.mouth_opening, truth["mouth_opening"]),
        "eye_opening_correlation": _correlation(found.eye_opening.mean(1), truth["eye_opening"].mean(1)),
        "blinks": int(whole.sum()),
        "blinks_missed": int((~within.any(1) & whole).sum()),
        "blinks_invented": int((~within.any(0)).sum()),
    }


def rotation_error(rotation: Float[np.ndarray, "T 3 3"], truth_file: Path) -> float:
    """Median over frames, in degrees, after one constant rotation between the two head spaces is taken out."""
    true = Rotation.from_matrix(load_npz(truth_file)["head_to_camera"][:, :3, :3])
    turn = Rotation.from_matrix(rotation)
    constant = (true.inv() * turn).mean()
    return float(np.degrees(np.median(((true * constant).inv() * turn).magnitude())))


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first, second)[0, 1])
