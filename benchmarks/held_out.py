"""Figures of a trained model on the held-out end of its clip (protocol *full*: the whole frame is synthesised)."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from benchmarks.record import Row, console, timed
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.face.topology import CHIN, EYES, LIPS
from dfa_nerfstudio.metrics.image_metrics import psnr, ssim
from dfa_nerfstudio.nerf.model import DFANerfModel
from dfa_nerfstudio.talk.frame_renderer import film_cameras, render_track
from dfa_nerfstudio.talk.load_model import load_model

_CLOSED = 0.25
"""Opening below which eyes count as shut."""


@dataclass
class Regions:
    """Where the truth's own landmarks put mouth, eyes and chin, per held-out frame, in pixels; boxes are left, top,
    right, bottom."""

    mouth: Int[np.ndarray, "T 4"]
    """The lips' box, half as wide again; as high as the lips are wide."""
    eyes: Int[np.ndarray, "T 4"]
    """The box of both eyes, a tenth of its width larger on each side."""
    chin: Int[np.ndarray, " T"]
    closed: Bool[np.ndarray, " T"]
    """Whether the eyes are nearly shut."""

    @classmethod
    def of(cls, folder: DatasetFolder) -> Regions:
        marks = folder.attributes.landmarks[folder.held_out_frames]
        width, height = folder.size
        lips = marks[:, LIPS, :2]
        centre = (lips.min(1) + lips.max(1)) / 2
        reach = (lips.max(1) - lips.min(1))[:, :1] * np.array([[0.75, 0.5]])
        mouth = np.concatenate([centre - reach, centre + reach], -1)
        lids = marks[:, [*EYES[0], *EYES[1]], :2]
        rim = np.ptp(lids, axis=1)[:, :1] / 10
        eyes = np.concatenate([lids.min(1) - rim, lids.max(1) + rim], -1)
        boxes = (box.round().astype(int).clip(0, [width, height] * 2) for box in (mouth, eyes))
        chin = marks[:, CHIN, 1].round().astype(int).clip(0, height - 1)
        return cls(*boxes, chin, folder.attributes.eye_opening[folder.held_out_frames].max(1) < _CLOSED)

    def __getitem__(self, frames: slice) -> Regions:
        return Regions(*(values[frames] for values in vars(self).values()))


def held_out_truth(folder: DatasetFolder) -> Float[Tensor, "T H W 3"]:
    """The held-out frames of use in [0, 1]."""
    return torch.from_numpy(np.stack([_image(folder, number) for number in folder.held_out_frames])).float() / 255


def _image(folder: DatasetFolder, number: int) -> UInt8[np.ndarray, "H W 3"]:
    path = folder.path / folder.meta["frames"][number]["file_path"]
    return np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1])


def score(pictures: Float[Tensor, "T H W 3"], truth: Float[Tensor, "T H W 3"], regions: Regions) -> dict[str, float]:
    """Means over frames of PSNR in dB: whole frame, mouth box, eyes' box, the same where the eyes are shut (NaN where
    they never are), below the chin; and SSIM of the whole frame. Where mediapipe is installed, how far mouth and eyes
    move, as a multiple of how far they truly do, and the correlation of their openings with the true ones."""

    def figures(frame: tuple[int, Tensor, Tensor]) -> dict[str, float]:
        index, picture, true = frame
        height, width, _ = true.shape

        def within(left: int, top: int, right: int, bottom: int) -> float:
            return float(psnr(picture[top:bottom, left:right], true[top:bottom, left:right]))

        eyes = within(*regions.eyes[index])
        return {
            "psnr": float(psnr(picture, true)),
            "ssim": ssim(picture, true),
            "mouth_psnr": within(*regions.mouth[index]),
            "eyes_psnr": eyes,
            "blink_psnr": eyes if regions.closed[index] else np.nan,
            "below_chin_psnr": within(0, regions.chin[index], width, height),
        }

    with ThreadPoolExecutor() as pool:
        rows = list(pool.map(figures, zip(range(len(truth)), pictures, truth, strict=True)))
    shut = regions.closed.any()
    means = {
        name: float(np.nanmean([row[name] for row in rows])) if shut or name != "blink_psnr" else float("nan")
        for name in rows[0]
    }
    return {**means, **_openings(pictures, truth)}


def _openings(pictures: Float[Tensor, "T H W 3"], truth: Float[Tensor, "T H W 3"]) -> dict[str, float]:
    if find_spec("mediapipe") is None:
        return {}
    from dfa_nerfstudio.evaluation.aperture import Openings, agreement

    seen, true = (
        Openings.of((frame.clamp(0, 1) * 255).round().byte().numpy() for frame in frames)
        for frames in (pictures, truth)
    )
    figures = {"mouth": agreement(seen.mouth, true.mouth), "eyes": agreement(seen.eyes, true.eyes)}
    return {
        f"{part}_{name}": value
        for part, values in figures.items()
        for name, value in zip(("moves", "follow"), values, strict=True)
    }


def render(model: DFANerfModel, track: AttributeTrack, scale: float = 1.0) -> tuple[Float[Tensor, "T H W 3"], float]:
    """All frames of a track, `scale` times the film's pixels, and frames/s (from the first frame to the last)."""
    pictures, times = [], []
    for picture in render_track(model, track, scale):
        pictures.append(torch.from_numpy(picture).float() / 255)
        times.append(time.perf_counter())
    return torch.stack(pictures), (len(times) - 1) / max(times[-1] - times[0], 1e-9)


def train_and_score(
    folder: DatasetFolder,
    method: str,
    runs: Path,
    device: str,
    every: int = 1,
    *,
    seconds: float | None = None,
    steps: int | None = None,
    label: str = "",
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> tuple[Row, DFANerfModel, Float[Tensor, "T H W 3"]]:
    """Trains by ns-train, by the clock or for a number of steps, and scores the held-out frames.

    Args:
        folder: dataset folder with its track.
        method: name of the method.
        runs: where nerfstudio writes.
        device: cpu or cuda.
        every: only every so many-th held-out frame is rendered.
        seconds: budget of the training loop.
        steps: the same in steps, where no seconds are given.
        label: of a variant of the method.
        options: of ns-train, for the variant.
        environment: variables that it needs.

    Returns:
        the row of figures, the model, and its pictures.
    """
    budget = f"{seconds:g} s" if seconds else f"{steps} steps"
    name, stamp = folder.path.name, f"{budget} {label}".strip().replace(" ", "_")
    common: list[str | Path | float] = [
        "--output-dir",
        runs,
        "--experiment-name",
        name,
        "--timestamp",
        stamp,
        "--vis",
        "tensorboard",
    ]
    common += ["--machine.device-type", device, "--max-num-iterations", steps or 100_000]
    if seconds:
        common += ["--pipeline.model.budget.max-seconds", seconds]
    took = timed(["ns-train", method, "--data", folder.path, *common, *options], device, environment)
    run = runs / name / method / stamp
    model = load_model(run / "config.yml")
    checkpoint = max((run / "nerfstudio_models").glob("step-*.ckpt"))
    truth, regions = held_out_truth(folder)[::every], Regions.of(folder)[::every]
    pictures, rate = render(model, model.clip.track[torch.from_numpy(folder.held_out_frames[::every])])
    row = {
        "method": f"{method}, {label}" if label else method,
        "budget": budget,
        "steps": int(checkpoint.stem[5:]) + 1,
        "wall_s": took["seconds"],
        "train_gib": took["peak_gib"],
        **{name: took[name] for name in ("gpu_gib",) if name in took},
        "frames": len(truth),
        **score(pictures, truth, regions),
        "frames_per_s": rate,
        "samples_per_ray": samples_per_ray(model),
    }
    console.print(row)
    return row, model, pictures


def rate_rows(model: DFANerfModel, method: str, sizes: Sequence[int], count: int = 24) -> list[Row]:
    """Frames/s at several sizes, over so many frames of the clip."""
    rows = []
    for size in sizes:
        scale = size / max(model.clip.size)
        _, rate = render(model, model.clip.track[:count], scale)
        rows.append(
            {"method": method, "size": size, "frames_per_s": rate, "samples_per_ray": samples_per_ray(model, scale)}
        )
        console.print(rows[-1])
    return rows


def time_to_rows(rows: Sequence[Row]) -> list[Row]:
    """The shortest of the trainings measured that reaches each whole dB; rows by rising budget."""
    best = max(row["psnr"] for row in rows)
    least = min(row["psnr"] for row in rows)
    return [
        {"psnr_at_least": level, "trained": next(row["budget"] for row in rows if row["psnr"] >= level)}
        for level in range(math.ceil(least), math.floor(best) + 1)
    ]


@torch.no_grad()
def samples_per_ray(model: DFANerfModel, scale: float = 1.0) -> float:
    """Samples at which the field is asked for a picture of the first frame, as a mean over all rays."""
    camera = film_cameras(model, model.track, scale)[:1].to(model.device)
    return float(model.get_outputs_for_camera(camera)["samples_per_ray"][0, 0])


def shuffled(track: AttributeTrack, seed: int = 0) -> AttributeTrack:
    """The track with the audio feature of other frames: what the lips are worth without sound."""
    order = torch.randperm(len(track), generator=torch.Generator().manual_seed(seed))
    return replace(track, audio=track.audio[order])


def mean_row(folder: DatasetFolder) -> Row:
    """The trivial baseline: the mean training image in the place of every held-out frame."""
    truth = held_out_truth(folder)
    mean = mean_image(folder).expand_as(truth)
    return {"method": "mean training image", "frames": len(truth), **score(mean, truth, Regions.of(folder))}


def shuffled_row(folder: DatasetFolder, model: DFANerfModel, row: Row) -> Row:
    """The model of a row with the sound of other frames."""
    truth = held_out_truth(folder)
    pictures, _ = render(model, shuffled(model.clip.track[torch.from_numpy(folder.held_out_frames)]))
    other = {"method": f"{row['method']}, audio shuffled", "budget": row["budget"], "frames": len(truth)}
    return {**other, **score(pictures, truth, Regions.of(folder))}


def mean_image(folder: DatasetFolder) -> Float[Tensor, "H W 3"]:
    """Mean of the training frames."""
    total = sum(_image(folder, number).astype(np.float64) for number in folder.train_frames)
    return torch.from_numpy(total / len(folder.train_frames) / 255).float()


def contact_sheet(
    pictures: Float[Tensor, "T H W 3"], truth: Float[Tensor, "T H W 3"], path: Path, count: int = 3
) -> None:
    """Evenly spaced frames, the truth above, the picture below."""
    chosen = np.linspace(0, len(truth) - 1, count + 2).round().astype(int)[1:-1]
    rows = [torch.cat([stack[index] for index in chosen], dim=1) for stack in (truth, pictures)]
    sheet = (torch.cat(rows).clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.ascontiguousarray(sheet[:, :, ::-1]))
