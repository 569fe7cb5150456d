"""The torso's motion in the imported pictures, which no data folder has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32

from dfa_nerfstudio.data.dataset_folder import image_path, torso_mask_path
from dfa_nerfstudio.media.images import read_mask
from dfa_nerfstudio.media.timeline import Timeline
from dfa_nerfstudio.preprocessing.torso.torso_alignment import (
    LEAST_AREA,
    TRACKING_SIZE,
    TorsoAligner,
    TorsoTracker,
    tracking_image,
)


def follow_torso(
    output: Path, reference: int, timeline: Timeline, advance: Callable[[int], None]
) -> TorsoTracker | None:
    """Aligns the torso of every frame to that of the reference frame; None where hardly any is in the pictures.

    Args:
        output: the dataset folder, with its images and torso masks.
        reference: the frame in which the motion is none.
        timeline: which frames follow each other.
        advance: called with the number of frames that are done.
    """
    learn = np.flatnonzero(timeline.learnable)
    region = np.mean([_small_mask(output, row) for row in learn], axis=0) > 0.5
    if region.mean() < LEAST_AREA:
        return None
    tracker = TorsoTracker(TorsoAligner(_tracking_image(output, reference), region))
    beginnings = {stretch.start for stretch in timeline.stretches()} - {0}
    for row in range(len(timeline)):
        tracker.add(_tracking_image(output, row), after_cut=row in beginnings)
        advance(1)
    return tracker


def _small_mask(output: Path, row: int) -> Float32[np.ndarray, "s s"]:
    mask = read_mask(torso_mask_path(output, row))
    return cv2.resize(mask, (TRACKING_SIZE,) * 2, interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _tracking_image(output: Path, row: int) -> Float32[np.ndarray, "s s"]:
    return tracking_image(cv2.imread(str(image_path(output, row)), cv2.IMREAD_GRAYSCALE))
