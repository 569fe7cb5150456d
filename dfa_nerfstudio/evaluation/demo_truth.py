"""How well a dataset folder of the demo subject matches the truth that was rendered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from dfa_nerfstudio.data.dataset_folder import DatasetFolder, load_npz


def compare_with_truth(folder: DatasetFolder, truth_file: Path) -> dict[str, float]:
    """Tracking errors over all frames.

    Args:
        folder: made by dfa-process from the demo clip.
        truth_file: the clip's `.truth.npz`.

    Returns:
        Rotation error in degrees (median over frames, after one constant rotation between the two head spaces is taken
        out), focal length error (relative), and the correlation of mouth opening and eye opening (mean of both eyes).
    """
    truth, found = load_npz(truth_file), folder.attributes
    true_turn = Rotation.from_matrix(truth["head_to_camera"][:, :3, :3])
    turn = Rotation.from_matrix(found.head_to_camera[:, :3, :3])
    constant = (true_turn.inv() * turn).mean()
    focal = (folder.meta["fl_x"] / folder.size[0]) / (truth["focal_length"] / truth["size"])
    return {
        "rotation_error_degrees": float(np.degrees(np.median(((true_turn * constant).inv() * turn).magnitude()))),
        "focal_length_error": float(focal - 1),
        "mouth_opening_correlation": _correlation(found.mouth_opening, truth["mouth_opening"]),
        "eye_opening_correlation": _correlation(found.eye_opening.mean(1), truth["eye_opening"].mean(1)),
    }


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first, second)[0, 1])
