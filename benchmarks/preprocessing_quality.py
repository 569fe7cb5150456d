"""Measures `dfa-process`: against the demo subject's ground truth, against per-frame solvePnP, and on every clip."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.held_out import train_and_score
from benchmarks.pose_stability import mean_landmarks, measure_stability, own_poses, solve_pnp, with_other_motion
from benchmarks.record import BIN, Row, clip_path, record_header, run_timed, write_record
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.demo.ground_truth import compare_with_truth, rotation_error
from dfa_nerfstudio.demo.make_clip import ClipConfig, make_clip, truth_path
from dfa_nerfstudio.media.rates import FRAME_RATE

POSE_CLIPS = (
    "acosta_71s",
    "german_anchor_20s",
    "woman31_24s_720p",
    "hdtf_WDA_AlexandriaOcasioCortez_000",
    "hdtf_WDA_BobMenendez_000",
)
"""Clips on which the stability of head poses is measured."""
SMOOTHING_STRENGTHS = (0.0, 1.0, 2.0, 8.0, 32.0)
"""Values of `dfa-process --smoothing` to compare."""
SECONDS = 24.0
"""Length of the demo clips, in seconds."""
FOCAL_RANGE = (0.8, 2.5)
"""Range of the demo subject's focal length in image widths, sampled uniformly in its logarithm."""


@dataclass
class PreprocessingBenchmark:
    """Accuracy, jitter and speed of dfa-process, and the effect of head poses on the renderer's PSNR."""

    shared: Path = Path("../shared")
    """Folder of the test material, with clips/ and speech/."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Random seeds of the demo clips, with yaw up to 20 degrees and pitch up to 12."""
    size: int = 512
    """Width and height of the frames of real clips, in pixels."""
    seconds: float = 180.0
    """Training time in seconds of each row that compares head poses, at 128x128; 0 skips them."""
    corpus: bool = True
    """Also process every clip of the test material."""
    output: Path = Path("outputs/bench")
    """Working folder. Images of real people stay here and are never committed."""

    def run(self) -> None:
        """Measures everything; writes the record after each table."""
        head, tables = record_header("cpu"), {}
        parts: dict[str, Callable[[], list[Row]]] = {
            "demo subject against its ground truth, 256x256": lambda: [self._demo(seed) for seed in self.seeds],
            f"real clips at {self.size}x{self.size}": lambda: [
                row for name in POSE_CLIPS for row in self._stability(name)
            ],
            "german_anchor_20s by smoothing strength": lambda: [self._smoothed(by) for by in SMOOTHING_STRENGTHS],
        }
        if self.corpus:
            parts["every clip"] = self._corpus
        if self.seconds:
            parts["acosta_71s at 128x128: held-out metrics by head pose and torso motion"] = self._effect_of_poses
        for title, measure_table in parts.items():
            tables[title] = measure_table()
            write_record("preprocessing_cpu", head, tables)

    def _demo(self, seed: int) -> Row:
        clip, data = self.output / f"demo_{seed}.mp4", self.output / f"demo_{seed}"
        focal = float(np.exp(np.random.default_rng(seed).uniform(*np.log(FOCAL_RANGE))))
        self.output.mkdir(parents=True, exist_ok=True)
        make_clip(clip, ClipConfig(seconds=SECONDS, seed=seed, size=256, yaw=20.0, pitch=12.0, focal=focal))
        cost = run_timed(["dfa-process", clip, "--output", data, "--size", 256, "--overwrite"])
        folder = DatasetFolder.open(data)
        metrics = compare_with_truth(folder, truth_path(clip))
        plain = rotation_error(solve_pnp(folder).rotation, truth_path(clip))
        return {"seed": seed, "focal": focal, **metrics, "solvePnP_rotation_error_degrees": plain, **cost}

    def _stability(self, name: str) -> list[Row]:
        data = self.output / f"{name}_{self.size}"
        command = ["dfa-process", clip_path(self.shared, name), "--output", data, "--size", self.size, "--overwrite"]
        cost = run_timed(command)
        folder = DatasetFolder.open(data)
        common = {"clip": name, "seconds_of_video": folder.num_frames / FRAME_RATE}
        return [
            {**common, "poses": "solvePnP", **measure_stability(folder, solve_pnp(folder))},
            {**common, "poses": "dfa-process", **measure_stability(folder, own_poses(folder)), **cost},
        ]

    def _effect_of_poses(self) -> list[Row]:
        data = self.output / "acosta"
        clip = clip_path(self.shared, "acosta_71s")
        run_timed(["dfa-process", clip, "--output", data, "--size", 128, "--overwrite"])
        run_timed(["dfa-attributes", data])
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
        """Measures pose stability at one smoothing strength. Less jitter is better only without more nose drift."""
        data = self.output / "smoothed"
        clip = clip_path(self.shared, "german_anchor_20s")
        options = ["--size", self.size, "--smoothing", strength, "--overwrite"]
        run_timed(["dfa-process", clip, "--output", data, *options])
        folder = DatasetFolder.open(data)
        return {"smoothing": strength, **measure_stability(folder, own_poses(folder))}

    def _corpus(self) -> list[Row]:
        """Processes every clip with one command; lists rejected clips with their reasons."""
        output = self.output / "corpus"
        command = [BIN / "dfa-process", self.shared / "clips", "--output", output]
        command += ["--size", "128", "--jobs", "2", "--overwrite"]
        subprocess.run([str(word) for word in command], check=False)  # exit code 2 if a clip is rejected
        folder = f"{(self.shared / 'clips').resolve()}/"
        return [
            {"clip": video["video"], "status": video["status"], "reason": video["reason"].replace(folder, "")}
            for video in json.loads((output / "corpus.json").read_text())["videos"]
            if not video["video"].startswith("grid_s1/")
        ]
