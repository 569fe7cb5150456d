"""Metrics of predicted and generated head motion."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.record import Row
from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.motion_config import MotionConfig
from dfa_nerfstudio.attributes.motion_source import generate_track
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.evaluation.motion.generated_motion import generated_motion_metrics, own_motion_metrics
from dfa_nerfstudio.evaluation.motion.motion_prediction import MotionPredictionErrors
from dfa_nerfstudio.evaluation.motion.pose_axes import pose_axes
from dfa_nerfstudio.media.mfcc import mfcc
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE

HORIZONS = (0.2, 0.5, 1.0, 2.0)
"""Prediction horizons in seconds after the beginning of pose."""
NUM_GENERATIONS = 3
"""Generated minutes for each training, with different seeds."""


def table_4(several: list[MotionPredictionErrors]) -> dict[str, float]:
    """D-Rot and D-Pos in percent of the range, as means over the horizon and over recordings."""
    metrics: dict[str, float] = {}
    mean, sample = (np.mean([getattr(one, name) for one in several], 0) for name in ("mean", "sample"))
    for title, curve in (("mean", mean), ("samples", sample)):
        metrics |= {
            f"{axis}, {title}": float(value) for axis, value in zip(("D-Rot", "D-Pos"), curve.mean(0), strict=True)
        }
    return metrics


def table_4_by_person(people: dict[str, list[MotionPredictionErrors]]) -> dict[str, float]:
    """Mean over people of each person's `table_4`."""
    each = [table_4(clips) for clips in people.values()]
    return {name: float(np.mean([one[name] for one in each])) for name in each[0]}


def horizon_errors(predictions: dict[str, list[MotionPredictionErrors]], samples_of: str) -> list[Row]:
    """Prediction errors at each horizon, as means over seeds; for models `samples_of` also those of samples."""
    frames = [round(seconds * FRAME_RATE) - 1 for seconds in HORIZONS]
    rows: list[Row] = []
    for axis, name in enumerate(("D-Rot", "D-Pos")):
        series = {"last pose frozen": [next(iter(predictions.values()))[0].last_pose]}
        for model, several in predictions.items():
            series[f"{model}: mean"] = [one.mean for one in several]
            if samples_of in model:
                series[f"{model}: samples"] = [one.sample for one in several]
        for title, seeds in series.items():
            mean = np.mean([curve[frames, axis] for curve in seeds], 0)
            rows.append(
                {"metric": name, "of": title} | {f"{s:g} s": float(v) for s, v in zip(HORIZONS, mean, strict=True)}
            )
    return rows


def minute_metrics(models: AttributeModels, folder: DatasetFolder, audio: np.ndarray) -> dict[str, float]:
    """Compares generated motion with the person's own motion in the training frames."""
    clip, count = folder.attributes, folder.num_train
    own, shot = pose_axes(clip.head_to_camera[:count]), clip.shot[:count]
    start = time.monotonic()
    features = models.audio_features(mfcc(audio, int(len(audio) * FRAME_RATE / SAMPLE_RATE)))
    tracks = [generate_track(models, features)]
    seconds = time.monotonic() - start
    tracks += [generate_track(models, features, MotionConfig(seed=seed)) for seed in range(1, NUM_GENERATIONS)]
    motions = [pose_axes(track.head_to_camera.numpy()) for track in tracks]
    openings = [models.eye.to_opening(track.eye).numpy() for track in tracks]
    hop = models.config.cross_modal.window - models.config.cross_modal.bop
    metrics = generated_motion_metrics(motions, openings, own, clip.eye_opening[:count], shot, hop)
    return metrics | {"seconds": seconds}


def halves_metrics(folder: DatasetFolder) -> dict[str, float]:
    """Returns the same metrics of the second half of the training frames with respect to the first half."""
    clip, count = folder.attributes, folder.num_train
    return own_motion_metrics(pose_axes(clip.head_to_camera[:count]), clip.eye_opening[:count], clip.shot[:count])


def format_over_seeds(seeds: list[dict[str, float]]) -> dict[str, str]:
    """Formats the mean, minimum and maximum over seeds."""
    row = {}
    for name in seeds[0]:
        values = [metrics[name] for metrics in seeds]
        spread = f" ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else ""
        row[name] = f"{np.mean(values):.2f}{spread}"
    return row
