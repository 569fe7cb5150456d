"""Compares a dataset folder of the demo subject with the rendered ground truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.media.npz import load_npz


def compare_with_truth(folder: DatasetFolder, truth_file: Path) -> dict[str, float]:
    """Computes tracking errors over all frames.

    Args:
        folder: dataset folder that dfa-process made from the demo clip.
        truth_file: `.truth.npz` of the clip.

    Returns:
        Rotation error in degrees (see `rotation_error`), relative error of the focal length, correlation of mouth
        opening and of eye opening (mean of both eyes), and the numbers of true, missed and false blinks.
    """
    truth, found = load_npz(truth_file), folder.attributes
    focal = (folder.meta["fl_x"] / folder.size[0]) / (truth["focal_length"] / truth["size"])
    start, _, end = truth["blinks"].T
    # A blink that the end of the video cuts off counts neither as found nor as missed.
    whole = end < len(truth["head_to_camera"]) / truth["fps"]
    within = (start[:, None] < found.blinks[:, 1]) & (found.blinks[:, 1] < end[:, None])  # [true, found]
    return {
        "rotation_error_degrees": rotation_error(found.head_to_camera[:, :3, :3], truth_file),
        "focal_length_error": float(focal - 1),
        "mouth_opening_correlation": _correlation(found.mouth_opening, truth["mouth_opening"]),
        "eye_opening_correlation": _correlation(found.eye_opening.mean(1), truth["eye_opening"].mean(1)),
        "blinks": int(whole.sum()),
        "blinks_missed": int((~within.any(1) & whole).sum()),
        "blinks_false": int((~within.any(0)).sum()),
    }


def rotation_error(rotation: Float[np.ndarray, "T 3 3"], truth_file: Path) -> float:
    """`median_rotation_error` against the clip's ground truth."""
    return median_rotation_error(rotation, load_npz(truth_file)["head_to_camera"][:, :3, :3])


def median_rotation_error(rotation: Float[np.ndarray, "T 3 3"], truth: Float[np.ndarray, "T 3 3"]) -> float:
    """Median rotation error over frames in degrees, after removing the constant rotation between the head spaces."""
    true, estimated = Rotation.from_matrix(truth), Rotation.from_matrix(rotation)
    constant = (true.inv() * estimated).mean()
    return float(np.degrees(np.median(((true * constant).inv() * estimated).magnitude())))


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first, second)[0, 1])
