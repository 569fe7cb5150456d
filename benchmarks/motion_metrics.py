"""Figures of foretold and generated motion."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.record import Row
from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.motion_config import MovingConfig
from dfa_nerfstudio.attributes.motion_source import generate_track
from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.evaluation.motion.blink_rate import Blinking
from dfa_nerfstudio.evaluation.motion.diversity import diversity
from dfa_nerfstudio.evaluation.motion.motion_energy import motion_energy
from dfa_nerfstudio.evaluation.motion.motion_prediction import Prediction
from dfa_nerfstudio.evaluation.motion.pose_axes import AXES, PoseAxes, pose_axes
from dfa_nerfstudio.evaluation.motion.seams import worst_seam
from dfa_nerfstudio.evaluation.motion.spectrum import spectrum_distance
from dfa_nerfstudio.evaluation.motion.stillness import frozen_fraction, usual_step
from dfa_nerfstudio.evaluation.motion.training_range import outside_share
from dfa_nerfstudio.media.mfcc import mfcc
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE

HORIZONS = (0.2, 0.5, 1.0, 2.0)
"""Seconds after the beginning of pose."""
MINUTES = 3
"""Seeds of generation for each training."""


def table_4(several: list[Prediction]) -> dict[str, float]:
    """D-Rot and D-Pos, means over the horizon and over recordings."""
    seen = np.mean([one.reconstruction for one in several], 0)
    figures = dict(zip(("D-Rot, reconstruction", "D-Pos, reconstruction"), map(float, seen), strict=True))
    mean, sample = (np.mean([getattr(one, name) for one in several], 0) for name in ("mean", "sample"))
    for title, curve in (("mean", mean), ("samples", sample)):
        figures |= {
            f"{axis}, {title}": float(value) for axis, value in zip(("D-Rot", "D-Pos"), curve.mean(0), strict=True)
        }
    return figures


def by_person(people: dict[str, list[Prediction]]) -> dict[str, float]:
    """`table_4` of each person, and the mean over people."""
    each = [table_4(clips) for clips in people.values()]
    return {name: float(np.mean([one[name] for one in each])) for name in each[0]}


def curves(foretold: dict[str, list[Prediction]], samples_of: str) -> list[Row]:
    """Errors at each of the horizons, means over seeds; of models so named also those of samples."""
    frames = [round(seconds * FRAME_RATE) - 1 for seconds in HORIZONS]
    rows: list[Row] = []
    for axis, name in enumerate(("D-Rot", "D-Pos")):
        series = {"last pose frozen": [next(iter(foretold.values()))[0].frozen]}
        for model, several in foretold.items():
            series[f"{model}: mean"] = [one.mean for one in several]
            if samples_of in model:
                series[f"{model}: samples"] = [one.sample for one in several]
        for title, seeds in series.items():
            mean = np.mean([curve[frames, axis] for curve in seeds], 0)
            rows.append(
                {"figure": name, "of": title} | {f"{s:g} s": float(v) for s, v in zip(HORIZONS, mean, strict=True)}
            )
    return rows


def minute(models: AttributeModels, folder: DatasetFolder, sound: np.ndarray) -> dict[str, float]:
    """What generated motion is like, beside the person's own in the training frames."""
    clip, count = folder.attributes, folder.num_train
    own, shot = pose_axes(clip.head_to_camera[:count]), clip.shot[:count]
    start = time.monotonic()
    heard = models.audio_features(mfcc(sound, int(len(sound) * FRAME_RATE / SAMPLE_RATE)))
    tracks = [generate_track(models, heard)]
    seconds = time.monotonic() - start
    tracks += [generate_track(models, heard, MovingConfig(seed=seed)) for seed in range(1, MINUTES)]
    motions = [pose_axes(track.head_to_camera.numpy()) for track in tracks]
    hop = models.config.cross_modal.window - models.config.cross_modal.bop
    blinks = [Blinking.of(models.eye.to_opening(track.eye).numpy()) for track in tracks]
    true = Blinking.of(clip.eye_opening[:count])
    energy = np.mean([motion_energy(motion) for motion in motions], 0) / motion_energy(own, shot)
    return {
        **{f"energy, {axis}": float(value) for axis, value in zip(AXES, energy, strict=True)},
        **compared(motions, own, shot),
        "worst seam": max(worst_seam(motion, range(hop, len(motion), hop), own, shot) for motion in motions),
        "diversity": diversity(motions, own),
        "outside the training range": float(np.mean([outside_share(motion, own) for motion in motions])),
        "blinks, of own rate": float(np.mean([one.rate for one in blinks])) / true.rate,
        "blinks, frames longer": FRAME_RATE * float(np.mean([one.duration for one in blinks]) - true.duration),
        "seconds": seconds,
    }


def compared(motions: list[PoseAxes], own: PoseAxes, shot: np.ndarray) -> dict[str, float]:
    """Stillness and spectrum beside the person's own."""
    usual = usual_step(own, shot)
    return {
        "frozen": float(np.mean([frozen_fraction(motion, usual) for motion in motions])),
        "frozen, own": frozen_fraction(own, usual, shot),
        "spectrum distance, dB": float(np.mean([spectrum_distance(motion, own) for motion in motions])),
    }


def halves(folder: DatasetFolder) -> dict[str, float]:
    """The same figures of one half of the training frames beside the other."""
    clip, count = folder.attributes, folder.num_train
    own, shot = pose_axes(clip.head_to_camera[:count]), clip.shot[:count]
    middle = count // 2
    energy = motion_energy(own[middle:], shot[middle:]) / motion_energy(own[:middle], shot[:middle])
    return {
        **{f"energy, {axis}": float(value) for axis, value in zip(AXES, energy, strict=True)},
        **compared([own[middle:]], own[:middle], shot[:middle]),
        "outside the training range": float(outside_share(own[middle:], own[:middle]).mean()),
    }


def across(seeds: list[dict[str, float]]) -> dict[str, str]:
    """Mean over seeds, and how far they spread."""
    row = {}
    for name in seeds[0]:
        values = [figures[name] for figures in seeds]
        spread = f" ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else ""
        row[name] = f"{np.mean(values):.2f}{spread}"
    return row
