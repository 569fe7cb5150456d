"""The torso's motion in the imported pictures, which no data folder has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32

from dfa_nerfstudio.preprocessing.images import image_path, read_mask, torso_mask_path
from dfa_nerfstudio.preprocessing.smoothing import MotionSmoother
from dfa_nerfstudio.preprocessing.timeline import Timeline
from dfa_nerfstudio.preprocessing.torso import (
    LEAST_AREA,
    TRACKING_SIZE,
    TorsoAligner,
    TorsoTracker,
    in_focal_lengths,
    tracking_image,
)

LEAST_FOUND = 0.5
"""Part of the training frames in which the torso must be found."""


@dataclass
class TorsoMotion:
    """The fields of `ClipAttributes` of these names."""

    torso_motion: Float[np.ndarray, "T 4"]
    torso_deviation: Float[np.ndarray, "T 4"]
    torso_found: Bool[np.ndarray, " T"]


def follow_torso(
    output: Path, focal: float, reference: int, timeline: Timeline, smoothing: float, advance: Callable[[int], None]
) -> TorsoMotion:
    """Aligns the torso of every frame to that of the reference frame, and smooths its motion, as dfa-process does.

    Zero and found nowhere, where no torso can be followed.

    Args:
        output: the dataset folder, with its images and torso masks.
        focal: in image sides.
        reference: the frame in which the motion is none.
        timeline: which frames follow each other.
        smoothing: see `ProcessConfig`.
        advance: called with the number of frames that are done.
    """
    count = len(timeline)
    motion, deviation, found = np.zeros((count, 4)), np.zeros((count, 4)), np.zeros(count, bool)
    nowhere = TorsoMotion(motion, deviation, found)
    learn = np.flatnonzero(timeline.learnable)
    mean = np.mean([_small_mask(output, row) for row in learn], axis=0)
    if (mean > 0.5).mean() < LEAST_AREA:
        return nowhere
    tracker = TorsoTracker(TorsoAligner(_tracking_image(output, reference), mean > 0.5))
    beginnings = {stretch.start for stretch in timeline.stretches()} - {0}
    for row in range(count):
        tracker.add(_tracking_image(output, row), after_cut=row in beginnings)
        advance(1)
    raw, information = tracker.tracks(timeline.learnable)
    found = information.any((1, 2))
    if found[learn].mean() < LEAST_FOUND:
        return nowhere
    training = [stretch for stretch in timeline.stretches() if stretch.stop <= timeline.num_train]
    smoother = MotionSmoother.learn(raw, information, training, (slice(0, 2),), smoothing)
    for run in timeline.stretches():
        motion[run], deviation[run] = smoother.smooth(raw[run], information[run])
    unknown = ~np.isfinite(deviation).all(1)
    deviation[unknown] = 0
    motion, deviation = (in_focal_lengths(part, tracker.aligner.radius, focal) for part in (motion, deviation))
    return TorsoMotion(motion, np.abs(deviation), found & ~unknown & timeline.usable)


def _small_mask(output: Path, row: int) -> Float32[np.ndarray, "s s"]:
    mask = read_mask(torso_mask_path(output, row))
    return cv2.resize(mask, (TRACKING_SIZE,) * 2, interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _tracking_image(output: Path, row: int) -> Float32[np.ndarray, "s s"]:
    return tracking_image(cv2.imread(str(image_path(output, row)), cv2.IMREAD_GRAYSCALE))
