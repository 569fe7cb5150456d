"""Measures the peak memory of `ns-train` by video length."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from benchmarks.preprocessing_memory import SECONDS
from benchmarks.record import Row, record_header, run_timed, write_record
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.dataset_folder import (
    ATTRIBUTES,
    AUDIO,
    BACKGROUND,
    PER_FRAME,
    PER_MFCC,
    TRACK,
    TRANSFORMS,
    DatasetFolder,
)
from dfa_nerfstudio.media.rates import FRAME_RATE


@dataclass
class TrainingMemoryBenchmark:
    """Peak memory of ns-train on a repeated clip of the demo subject."""

    shared: Path = Path("../shared")
    """Unused; every benchmark has this option."""
    minutes: tuple[float, ...] = (1, 5)
    """Video lengths in minutes."""
    size: int = 512
    """Width and height of the frames, in pixels."""
    method: Literal["dfa-nerf", "dfa-nerf-lite"] = "dfa-nerf-lite"
    """Method to train."""
    seconds: float = 60.0
    """Training time in seconds."""
    output: Path = Path("outputs/bench")
    """Working folder."""
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    """Device of training."""

    def run(self) -> None:
        """Measures every length."""
        head, rows = record_header(self.device), list[Row]()
        clip, once, repeated = self.output / "once.mp4", self.output / "once", self.output / "repeated"
        run_timed(["dfa-demo", "make-clip", "--output", clip, "--seconds", SECONDS, "--size", self.size])
        run_timed(["dfa-process", clip, "--output", once, "--size", self.size, "--overwrite"])
        run_timed(["dfa-attributes", once])
        for minutes in self.minutes:
            repeat_folder(DatasetFolder.open(once), repeated, round(minutes * 60 * FRAME_RATE))
            command = ["ns-train", self.method, "--data", repeated, "--output-dir", self.output / "runs", "--vis"]
            command += ["tensorboard", "--machine.device-type", self.device, "--max-num-iterations", 100_000]
            cost = run_timed([*command, "--pipeline.schedule.max-seconds", self.seconds], self.device)
            rows.append({"minutes_of_video": minutes, **cost})
            title = f"ns-train {self.method}, demo subject repeated, {self.size}x{self.size}"
            write_record(f"training_memory_{self.device}", head, {title: rows})


def repeat_folder(source: DatasetFolder, target: Path, frames: int) -> None:
    """Writes a dataset folder that repeats another one's frames, with hard-linked files, up to `frames` frames."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    order = np.arange(frames) % source.num_frames
    width_and_height, poses = source.size, source.attributes.head_to_camera[order]
    DatasetFolder.write_transforms(
        target,
        focal_length=source.meta["fl_x"],
        size=width_and_height,
        num_train=frames * 10 // 11,
        head_to_camera=poses,
    )
    for name in (AUDIO, BACKGROUND):  # not repeated: training does not read the audio
        os.link(source.path / name, target / name)
    for new, old in zip(json.loads((target / TRANSFORMS).read_text())["frames"], order, strict=True):
        for key in ("file_path", "person_mask_path", "torso_mask_path"):
            (target / new[key]).parent.mkdir(exist_ok=True)
            os.link(source.path / source.meta["frames"][old][key], target / new[key])
    rows = (4 * order[:, None] + np.arange(4)).ravel()
    index = {**dict.fromkeys(PER_FRAME, order), **dict.fromkeys(PER_MFCC, rows), "head_to_camera": order}
    repeated = {name: getattr(source.attributes, name)[rows] for name, rows in index.items()}
    replace(source.attributes, **repeated).save(target / ATTRIBUTES)
    AttributeTrack.load(source.path / TRACK)[torch.from_numpy(order)].save(target / TRACK)
