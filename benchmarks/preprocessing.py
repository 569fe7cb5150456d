"""`dfa-process` against the demo subject's truth, against plain per-frame poses, and on every clip."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.held_out import train_and_score
from benchmarks.poses import mean_landmarks, own_poses, solve_pnp, steadiness, with_other_motion
from benchmarks.record import BIN, Row, clip_path, header, timed, write_record
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.demo.ground_truth import compare_with_truth, rotation_error
from dfa_nerfstudio.demo.make_clip import ClipConfig, make_clip, truth_path

STEADY = (
    "acosta_71s",
    "german_anchor_20s",
    "woman31_24s_720p",
    "hdtf_WDA_AlexandriaOcasioCortez_000",
    "hdtf_WDA_BobMenendez_000",
)
STRENGTHS = (0.0, 1.0, 2.0, 8.0, 32.0)
SECONDS = 24.0
"""Length of the demo clips."""
FOCAL = (0.8, 2.5)
"""In image widths: what the demo subject is filmed with lies between, evenly in its logarithm."""


@dataclass
class Preprocessing:
    """Poses, eyes, jitter and speed of dfa-process, and what better poses are worth to the renderer."""

    shared: Path = Path("../shared")
    """Where the test material lies."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Of the demo clips, yaw to 20 degrees, pitch to 12."""
    size: int = 512
    """Working resolution of the real clips."""
    seconds: float = 180.0
    """Training time of each row about what poses are worth, at 128x128; 0 leaves them out."""
    corpus: bool = True
    """Process every clip of the test material, too."""
    output: Path = Path("outputs/bench")
    """Working folder; pictures of real people stay here and are never committed."""

    def run(self) -> None:
        """Measures everything; the record is there, and grows, from the first table on."""
        head, tables = header("cpu"), {}
        parts: dict[str, Callable[[], list[Row]]] = {
            "the demo subject against its truth, 256x256": lambda: [self._demo(seed) for seed in self.seeds],
            f"real clips at {self.size}x{self.size}": lambda: [row for name in STEADY for row in self._steady(name)],
            "german_anchor_20s by the strength of smoothing": lambda: [self._smoothed(by) for by in STRENGTHS],
        }
        if self.corpus:
            parts["every clip"] = self._corpus
        if self.seconds:
            parts["acosta_71s at 128x128: held-out figures by head poses and torso motion"] = self._worth
        for title, measured in parts.items():
            tables[title] = measured()
            write_record("preprocessing_cpu", head, tables)

    def _demo(self, seed: int) -> Row:
        clip, data = self.output / f"demo_{seed}.mp4", self.output / f"demo_{seed}"
        focal = float(np.exp(np.random.default_rng(seed).uniform(*np.log(FOCAL))))
        self.output.mkdir(parents=True, exist_ok=True)
        make_clip(clip, ClipConfig(seconds=SECONDS, seed=seed, size=256, yaw=20.0, pitch=12.0, focal=focal))
        took = timed(["dfa-process", clip, "--output", data, "--size", 256, "--overwrite"])
        folder = DatasetFolder.open(data)
        figures = compare_with_truth(folder, truth_path(clip))
        plain = rotation_error(solve_pnp(folder).rotation, truth_path(clip))
        return {"seed": seed, "focal": focal, **figures, "solvePnP_rotation_error_degrees": plain, **took}

    def _steady(self, name: str) -> list[Row]:
        data = self.output / f"{name}_{self.size}"
        command = ["dfa-process", clip_path(self.shared, name), "--output", data, "--size", self.size, "--overwrite"]
        took = timed(command)
        folder = DatasetFolder.open(data)
        common = {"clip": name, "seconds_of_film": folder.num_frames / 25}
        return [
            {**common, "poses": "solvePnP", **steadiness(folder, solve_pnp(folder))},
            {**common, "poses": "dfa-process", **steadiness(folder, own_poses(folder)), **took},
        ]

    def _worth(self) -> list[Row]:
        data = self.output / "acosta"
        clip = clip_path(self.shared, "acosta_71s")
        timed(["dfa-process", clip, "--output", data, "--size", 128, "--overwrite"])
        timed(["dfa-attributes", data])
        folder = DatasetFolder.open(data)
        side = float(folder.size[0])
        plain = solve_pnp(folder, mean_landmarks(folder), side)
        rows = []
        for name, poses, focal, torso in (
            ("solvePnP, mean landmarks, focal length of one image side", plain, side, True),
            ("solvePnP, mean landmarks, focal length of one image side", plain, side, False),
            ("solvePnP, head and focal length of dfa-process", solve_pnp(folder), 0.0, True),
            ("dfa-process", None, 0.0, True),
            ("dfa-process", None, 0.0, False),
        ):
            other = with_other_motion(folder, self.output / f"acosta_{len(rows)}", poses, torso, focal)
            row, _, _ = train_and_score(other, "dfa-nerf-lite", self.output / "runs", "cpu", seconds=self.seconds)
            rows.append({"poses": name, "torso motion": torso, **row})
        return rows

    def _smoothed(self, strength: float) -> Row:
        """What shakes less is only better as long as the nose wanders no farther."""
        data = self.output / "smoothed"
        clip = clip_path(self.shared, "german_anchor_20s")
        options = ["--size", self.size, "--smoothing", strength, "--overwrite"]
        timed(["dfa-process", clip, "--output", data, *options])
        folder = DatasetFolder.open(data)
        return {"smoothing": strength, **steadiness(folder, own_poses(folder))}

    def _corpus(self) -> list[Row]:
        """Every clip at once, by the command for folders; those that are refused are listed with the reason."""
        output = self.output / "corpus"
        command: Sequence[str | Path] = ["dfa-process", self.shared / "clips", "--output", output]
        options = ["--size", "128", "--jobs", "2", "--overwrite"]
        subprocess.run([str(BIN / command[0]), *map(str, command[1:]), *options], check=False)  # 2 if one is refused
        folder = f"{(self.shared / 'clips').resolve()}/"
        return [
            {"clip": video["video"], "status": video["status"], "reason": video["reason"].replace(folder, "")}
            for video in json.loads((output / "corpus.json").read_text())["videos"]
            if not video["video"].startswith("grid_s1/")
        ]
