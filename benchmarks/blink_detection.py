"""Measures the blinks that `dfa-process` finds, against labels and against the demo subject's ground truth."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from benchmarks.record import Row, clip_path, record_header, run_timed, write_record
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.demo.ground_truth import compare_with_truth
from dfa_nerfstudio.demo.make_clip import ClipConfig, make_clip, truth_path
from dfa_nerfstudio.media.rates import FRAME_RATE

LABELS = Path(__file__).parent / "labels/blinks.json"
"""Blinks labelled by eye; the file says how."""
TOLERANCE = 3
"""Frames between a labelled closure and the apex of a blink that is found."""
MAX_CLOSED_OPENING = 0.1
"""Eye opening, mean of both eyes, up to which the lids count as met."""


class BlinkLabels(NamedTuple):
    """Labels of one clip, in frames at 25 frames/s."""

    span: tuple[int, int]
    """First labelled frame, and the one after the last."""
    blinks: Float[np.ndarray, "B 3"]
    """Last frame with open eyes, middle of the closure, and first frame with open eyes again."""
    doubtful: Float[np.ndarray, "D 2"]
    """First and last frame of what may or may not be a blink."""

    @classmethod
    def load(cls, clip: str) -> BlinkLabels:
        """Reads the labels of a clip of the test material."""
        labels = json.loads(LABELS.read_text())["clips"][clip]
        return cls(tuple(labels["span"]), np.array(labels["blinks"]), np.array(labels["doubtful"]).reshape(-1, 2))

    def within(self, first: int, stop: int) -> BlinkLabels:
        """Returns the labels of a part of the span."""
        inside = (first <= self.blinks[:, 1]) & (self.blinks[:, 1] < stop)
        return BlinkLabels((first, stop), self.blinks[inside], self.doubtful)

    def score(self, apexes: Float[np.ndarray, " N"]) -> dict[str, float]:
        """Computes recall and precision of blinks that were found; doubtful ones count neither way.

        Args:
            apexes: frames of their apexes.
        """
        apexes = apexes[(self.span[0] <= apexes) & (apexes < self.span[1])]
        near = np.abs(apexes[:, None] - self.blinks[:, 1]) <= TOLERANCE  # [found, labelled]
        doubtful = (self.doubtful[:, 0] - TOLERANCE <= apexes[:, None]) & (
            apexes[:, None] <= self.doubtful[:, 1] + TOLERANCE
        )
        hits = int(near.any(0).sum())
        repeated = int(near.any(1).sum()) - hits  # no apex is near two labels
        false = int((~near.any(1) & ~doubtful.any(1)).sum()) + repeated
        return {
            "blinks": len(self.blinks),
            "recall": hits / max(len(self.blinks), 1),
            "precision": hits / max(hits + false, 1),
        }


@dataclass
class BlinkBenchmark:
    """Recall and precision of blinks, and the eye opening where the lids meet."""

    shared: Path = Path("../shared")
    """Folder of the test material, with clips/."""
    size: int = 128
    """Width and height of the frames of the dataset folders, in pixels; the face is tracked at the source's size."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Random seeds of the demo clips, with yaw up to 25 degrees and pitch up to 15."""
    output: Path = Path("outputs/bench")
    """Working folder."""

    def run(self) -> None:
        """Processes the labelled clips and the demo clips, and writes the record."""
        head = record_header("cpu")
        labelled = [row for clip in json.loads(LABELS.read_text())["clips"] for row in self._labelled(clip)]
        tables = {
            "labelled clips, apex within 3 frames": labelled,
            "demo subject": [self._demo(seed) for seed in self.seeds],
        }
        write_record("blinks_cpu", head, tables)

    def _labelled(self, clip: str) -> list[Row]:
        """Scores a clip, and each minute of it if more is labelled."""
        data = self.output / f"blinks_{clip}"
        command = ["dfa-process", clip_path(self.shared, clip), "--output", data, "--size", self.size, "--overwrite"]
        cost = run_timed(command)
        found = DatasetFolder.open(data).attributes
        labels, minute = BlinkLabels.load(clip), round(60 * FRAME_RATE)
        first, stop = labels.span
        spans = [(first, stop), *((start, start + minute) for start in range(first, stop - minute + 1, minute))]
        rows = []
        for start, end in spans:
            part = labels.within(start, end)
            closures = part.blinks[:, 1].astype(int)
            lowest = np.min([found.eye_opening[closures + shift].mean(1) for shift in (-1, 0, 1)], axis=0)
            rows.append(
                {
                    "clip": clip,
                    "from_s": start / FRAME_RATE,
                    "to_s": end / FRAME_RATE,
                    **part.score(found.blinks[:, 1] * FRAME_RATE),
                    "met_share": float((lowest <= MAX_CLOSED_OPENING).mean()),
                }
            )
        rows[0] |= cost
        return rows

    def _demo(self, seed: int) -> Row:
        clip, data = self.output / f"blinks_demo_{seed}.mp4", self.output / f"blinks_demo_{seed}"
        self.output.mkdir(parents=True, exist_ok=True)
        make_clip(clip, ClipConfig(seconds=24.0, seed=seed, size=256, yaw=25.0, pitch=15.0))
        cost = run_timed(["dfa-process", clip, "--output", data, "--size", self.size, "--overwrite"])
        metrics = compare_with_truth(DatasetFolder.open(data), truth_path(clip))
        return {
            "seed": seed,
            **{name: value for name, value in metrics.items() if name.startswith(("blinks", "eye"))},
            **cost,
        }
