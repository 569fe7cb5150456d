"""Scores a trained model on the held-out end of its clip (protocol *full*: the whole frame is synthesised)."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from benchmarks.record import Row, console, run_timed
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.face.face_box import face_box
from dfa_nerfstudio.face.topology import CHIN, EYE_CONTOURS, MOUTH_SPAN
from dfa_nerfstudio.metrics.curve_agreement import curve_agreement
from dfa_nerfstudio.metrics.image_metrics import psnr, sharpness, ssim
from dfa_nerfstudio.nerf.model import DFANerfModel
from dfa_nerfstudio.talk.frame_renderer import render_track, source_cameras
from dfa_nerfstudio.talk.load_model import load_model

_CLOSED = 0.25
"""Eye opening below which both eyes count as closed."""


@dataclass
class Regions:
    """Regions of face, mouth, eyes and chin in each of T held-out frames, from the true landmarks, in pixels.

    Boxes are left, top, right, bottom.
    """

    face: Int[np.ndarray, "T 4"]
    """Square around the face, which is the protocol *face* of `dfa-eval`."""
    mouth: Int[np.ndarray, "T 4"]
    """Mouth box: 1.5 times as wide as the lips, as high as the lips are wide."""
    eyes: Int[np.ndarray, "T 4"]
    """Box of both eyes, enlarged on each side by a tenth of its width."""
    chin: Int[np.ndarray, " T"]
    """Row of the chin."""
    closed: Bool[np.ndarray, " T"]
    """True where both eyes are nearly closed."""

    @classmethod
    def of(cls, folder: DatasetFolder) -> Regions:
        """Reads the regions of the held-out frames of a dataset folder."""
        marks = folder.attributes.landmarks[folder.held_out_frames]
        width, height = folder.size
        lips = marks[:, MOUTH_SPAN, :2]
        centre = (lips.min(1) + lips.max(1)) / 2
        reach = (lips.max(1) - lips.min(1))[:, :1] * np.array([[0.75, 0.5]])
        mouth = np.concatenate([centre - reach, centre + reach], -1)
        lids = marks[:, [*EYE_CONTOURS[0], *EYE_CONTOURS[1]], :2]
        rim = np.ptp(lids, axis=1)[:, :1] / 10
        eyes = np.concatenate([lids.min(1) - rim, lids.max(1) + rim], -1)
        boxes = (box.round().astype(int).clip(0, [width, height] * 2) for box in (mouth, eyes))
        face = np.array([face_box(points, width, height) for points in marks[:, :, :2]])
        chin = marks[:, CHIN, 1].round().astype(int).clip(0, height - 1)
        return cls(face, *boxes, chin, folder.attributes.eye_opening[folder.held_out_frames].max(1) < _CLOSED)

    def __getitem__(self, frames: slice) -> Regions:
        return Regions(*(values[frames] for values in vars(self).values()))


def held_out_truth(folder: DatasetFolder) -> Float[Tensor, "T H W 3"]:
    """Loads the held-out frames, RGB in [0, 1]."""
    return torch.from_numpy(np.stack([_image(folder, number) for number in folder.held_out_frames])).float() / 255


def _image(folder: DatasetFolder, number: int) -> UInt8[np.ndarray, "H W 3"]:
    path = folder.path / folder.meta["frames"][number]["file_path"]
    return np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1])


def score(images: Float[Tensor, "T H W 3"], truth: Float[Tensor, "T H W 3"], regions: Regions) -> dict[str, float]:
    """Computes metrics of rendered frames, as means over frames.

    PSNR in dB of the whole frame, the face, the mouth box, the eye box, the eye box of frames with closed eyes (NaN if
    there are none) and the image below the chin; SSIM of the whole frame; sharpness of the face, rendered over true
    variance of the Laplacian. Where mediapipe is installed, also the amplitude ratio of mouth and eye apertures
    (rendered over true standard deviation) and their correlation with the truth.
    """

    def frame_metrics(frame: tuple[int, Tensor, Tensor]) -> dict[str, float]:
        index, image, true = frame
        height, width, _ = true.shape

        def within(left: int, top: int, right: int, bottom: int) -> float:
            return float(psnr(image[top:bottom, left:right], true[top:bottom, left:right]))

        left, top, right, bottom = regions.face[index]
        face = slice(top, bottom), slice(left, right)
        eyes = within(*regions.eyes[index])
        return {
            "psnr": float(psnr(image, true)),
            "ssim": ssim(image, true),
            "face_psnr": within(*regions.face[index]),
            "face_sharpness": sharpness(image[face]) / sharpness(true[face]),
            "mouth_psnr": within(*regions.mouth[index]),
            "eyes_psnr": eyes,
            "blink_psnr": eyes if regions.closed[index] else np.nan,
            "below_chin_psnr": within(0, regions.chin[index], width, height),
        }

    with ThreadPoolExecutor() as pool:
        rows = list(pool.map(frame_metrics, zip(range(len(truth)), images, truth, strict=True)))
    any_closed = regions.closed.any()
    means = {
        name: float(np.nanmean([row[name] for row in rows])) if any_closed or name != "blink_psnr" else float("nan")
        for name in rows[0]
    }
    return {**means, **_aperture_metrics(images, truth)}


def _aperture_metrics(images: Float[Tensor, "T H W 3"], truth: Float[Tensor, "T H W 3"]) -> dict[str, float]:
    """Amplitude ratio and correlation of mouth and eye aperture; empty without mediapipe."""
    if find_spec("mediapipe") is None:
        return {}
    from dfa_nerfstudio.evaluation.aperture import Aperture

    seen, true = (
        Aperture.from_frames((frame.clamp(0, 1) * 255).round().byte().numpy() for frame in frames)
        for frames in (images, truth)
    )
    mouth, eyes = curve_agreement(seen.mouth, true.mouth), curve_agreement(seen.eyes, true.eyes)
    metrics = {f"mouth_{name}": value for name, value in mouth._asdict().items()}
    return metrics | {"eyes_amplitude_ratio": eyes.amplitude_ratio, "eyes_correlation": eyes.correlation}


def render(model: DFANerfModel, track: AttributeTrack, scale: float = 1.0) -> tuple[Float[Tensor, "T H W 3"], float]:
    """Renders all frames of a track at `scale` times the video's size; returns them and the frame rate in frames/s."""
    images, times = [], []
    for image in render_track(model, track, scale):
        images.append(torch.from_numpy(image).float() / 255)
        times.append(time.perf_counter())
    return torch.stack(images), (len(times) - 1) / max(times[-1] - times[0], 1e-9)


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
    """Trains with ns-train, for a time or a number of steps, and scores the held-out frames.

    Args:
        folder: dataset folder with its track.
        method: name of the registered method.
        runs: output folder of nerfstudio.
        device: cpu or cuda.
        every: stride of the rendered held-out frames.
        seconds: training time.
        steps: number of training steps, used if `seconds` is None.
        label: name of the variant of the method.
        options: ns-train options of the variant.
        environment: environment variables to add.

    Returns:
        the row of metrics, the model, and its rendered frames.
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
        common += ["--pipeline.schedule.max-seconds", seconds]
    took = run_timed(["ns-train", method, "--data", folder.path, *common, *options], device, environment)
    run = runs / name / method / stamp
    model = cast(DFANerfModel, load_model(run / "config.yml"))
    checkpoint = max((run / "nerfstudio_models").glob("step-*.ckpt"))
    truth, regions = held_out_truth(folder)[::every], Regions.of(folder)[::every]
    images, rate = render(model, model.clip.track[torch.from_numpy(folder.held_out_frames[::every])])
    row = {
        "method": f"{method}, {label}" if label else method,
        "budget": budget,
        "steps": int(checkpoint.stem[5:]) + 1,
        "wall_s": took["seconds"],
        "train_gib": took["peak_gib"],
        **{name: took[name] for name in ("gpu_gib",) if name in took},
        "frames": len(truth),
        **score(images, truth, regions),
        "frames_per_s": rate,
        "samples_per_ray": samples_per_ray(model),
    }
    console.print(row)
    return row, model, images


def rate_rows(model: DFANerfModel, method: str, sizes: Sequence[int], count: int = 24) -> list[Row]:
    """Measures the rendering rate at several sizes, over the first `count` frames of the clip."""
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
    """Finds the shortest measured training that reaches each whole dB; `rows` are sorted by budget."""
    best = max(row["psnr"] for row in rows)
    worst = min(row["psnr"] for row in rows)
    return [
        {"psnr_at_least": level, "trained": next(row["budget"] for row in rows if row["psnr"] >= level)}
        for level in range(math.ceil(worst), math.floor(best) + 1)
    ]


@torch.no_grad()
def samples_per_ray(model: DFANerfModel, scale: float = 1.0) -> float:
    """Mean number of field queries per ray for an image of the first frame."""
    camera = source_cameras(model, model.track, scale)[:1].to(model.device)
    return float(model.get_outputs_for_camera(camera)["samples_per_ray"][0, 0])


def shuffled(track: AttributeTrack, seed: int = 0) -> AttributeTrack:
    """Returns the track with its mouth conditions permuted over frames.

    Its score shows how much of the lips' quality depends on their condition.
    """
    order = torch.randperm(len(track), generator=torch.Generator().manual_seed(seed))
    return replace(track, mouth=track.mouth[order])


def mean_row(folder: DatasetFolder) -> Row:
    """Scores the trivial baseline: the mean training image as every held-out frame."""
    truth = held_out_truth(folder)
    mean = mean_image(folder).expand_as(truth)
    return {"method": "mean training image", "frames": len(truth), **score(mean, truth, Regions.of(folder))}


def shuffled_row(folder: DatasetFolder, model: DFANerfModel, row: Row) -> Row:
    """Scores the model of a row with the lips of other frames."""
    truth = held_out_truth(folder)
    images, _ = render(model, shuffled(model.clip.track[torch.from_numpy(folder.held_out_frames)]))
    other = {"method": f"{row['method']}, audio shuffled", "budget": row["budget"], "frames": len(truth)}
    return {**other, **score(images, truth, Regions.of(folder))}


def mean_image(folder: DatasetFolder) -> Float[Tensor, "H W 3"]:
    """Returns the mean of the training frames."""
    total = sum(_image(folder, number).astype(np.float64) for number in folder.train_frames)
    return torch.from_numpy(total / len(folder.train_frames) / 255).float()


def contact_sheet(
    images: Float[Tensor, "T H W 3"], truth: Float[Tensor, "T H W 3"], path: Path, count: int = 3
) -> None:
    """Writes an image of evenly spaced frames, the truth above, the rendered frames below."""
    chosen = np.linspace(0, len(truth) - 1, count + 2).round().astype(int)[1:-1]
    rows = [torch.cat([stack[index] for index in chosen], dim=1) for stack in (truth, images)]
    sheet = (torch.cat(rows).clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.ascontiguousarray(sheet[:, :, ::-1]))
