"""Measures judder: how much rougher pose and lips are that `dfa-process` finds in videos of other frame rates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from benchmarks.record import Row, record_header, run_timed, write_record
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.demo.ground_truth import median_rotation_error
from dfa_nerfstudio.demo.make_clip import ClipConfig, make_clip, truth_path
from dfa_nerfstudio.media.npz import load_npz
from dfa_nerfstudio.media.rates import FRAME_RATE

END_SECONDS = 1.0
"""End of each clip that is left out: the demo subject comes to rest there, at a time that depends on the frame rate."""


@dataclass
class FrameRateBenchmark:
    """Second differences of head pose and mouth opening of the demo subject, recorded at other frame rates.

    The subject speaks and moves in the same way at each rate. Second differences are root mean squares over frames at
    25 frames/s, divided by those of the same subject recorded at 25 frames/s.
    """

    shared: Path = Path("../shared")
    """Not used: the demo subject is synthetic."""
    rates: tuple[float, ...] = (24, 30000 / 1001, 30, 50, 60)
    """Frames per second of the sources."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Random seeds of the demo subject."""
    seconds: float = 13.0
    """Length of each clip in seconds."""
    output: Path = Path("outputs/bench/frame_rates")
    """Working folder."""

    def run(self) -> None:
        """Measures everything and writes the record."""
        head, rows = record_header("cpu"), dict[float, list[Row]]()
        for seed in self.seeds:
            count = round((self.seconds - END_SECONDS) * FRAME_RATE)
            reference = self._process(seed, FRAME_RATE)
            truth = load_npz(truth_path(self._clip(seed, FRAME_RATE)))
            for rate in self.rates:
                folder = self._process(seed, rate)
                rows.setdefault(rate, []).append(_compare(folder, reference, truth, count))
        table = [
            {"frames/s": round(rate, 2), "seeds": len(found)}
            | {name: float(np.mean([row[name] for row in found])) for name in found[0]}
            for rate, found in rows.items()
        ]
        write_record("frame_rates_cpu", head, {"demo subject, 256x256, against itself at 25 frames/s": table})

    def _clip(self, seed: int, rate: float) -> Path:
        return self.output / f"demo_{seed}_{rate:.0f}.mp4"

    def _process(self, seed: int, rate: float) -> DatasetFolder:
        clip, data = self._clip(seed, rate), self.output / f"demo_{seed}_{rate:.0f}"
        self.output.mkdir(parents=True, exist_ok=True)
        make_clip(clip, ClipConfig(seconds=self.seconds, seed=seed, size=256, fps=rate))
        run_timed(["dfa-process", clip, "--output", data, "--size", 256, "--held-out", 0, "--overwrite"])
        return DatasetFolder.open(data)


def _compare(folder: DatasetFolder, reference: DatasetFolder, truth: dict[str, np.ndarray], count: int) -> Row:
    """Compares the first `count` frames of two recordings of one subject, and both with the ground truth."""
    found, same = folder.attributes, reference.attributes
    image_poses, true_poses = np.linalg.inv(folder.cameras), truth["head_to_camera"]
    roughness = _second_difference(_angles(same.head_to_camera), count)
    mouth = _second_difference(same.mouth_opening, count)

    def error(poses: Float[np.ndarray, "T 4 4"]) -> float:
        return median_rotation_error(poses[:count, :3, :3], true_poses[:count, :3, :3])

    return {
        "rotation": _second_difference(_angles(found.head_to_camera), count) / roughness,
        "rotation, as measured in the images": _second_difference(_angles(image_poses), count) / roughness,
        "rotation, ground truth": _second_difference(_angles(true_poses), count) / roughness,
        "mouth": _second_difference(found.mouth_opening, count) / mouth,
        "mouth, ground truth": _second_difference(truth["mouth_opening"], count) / mouth,
        "rotation error, degrees": error(found.head_to_camera),
        "the same at 25 frames/s": error(same.head_to_camera),
        "mouth correlation": float(np.corrcoef(found.mouth_opening[:count], truth["mouth_opening"][:count])[0, 1]),
        "mouth correlation at 25 frames/s": float(
            np.corrcoef(same.mouth_opening[:count], truth["mouth_opening"][:count])[0, 1]
        ),
    }


def _angles(head_to_camera: Float[np.ndarray, "T 4 4"]) -> Float[np.ndarray, "T 3"]:
    """Rotation vectors relative to the first frame, in degrees."""
    rotation = Rotation.from_matrix(head_to_camera[:, :3, :3])
    return np.degrees((rotation * rotation[0].inv()).as_rotvec())


def _second_difference(values: Float[np.ndarray, "T ..."], count: int) -> float:
    return float(np.sqrt(np.square(np.diff(values[:count], 2, axis=0)).mean()))
