"""Tracks the torso motion in imported images, because data folders do not contain it."""

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
    ALIGNMENT_SIZE,
    MIN_TORSO_AREA,
    TorsoAligner,
    TorsoTracker,
    alignment_image,
)


def track_torso(
    output: Path, reference: int, timeline: Timeline, advance: Callable[[int], None]
) -> TorsoTracker | None:
    """Aligns the torso of every frame to the reference frame; returns None if hardly any torso is visible.

    Args:
        output: the dataset folder, with its images and torso masks.
        reference: number of the reference frame, whose motion is zero.
        timeline: shots of the clip.
        advance: called with the number of frames processed.
    """
    train_frames = np.flatnonzero(timeline.train_mask)
    region = np.mean([_small_mask(output, row) for row in train_frames], axis=0) > 0.5
    if region.mean() < MIN_TORSO_AREA:
        return None
    tracker = TorsoTracker(TorsoAligner(_alignment_image(output, reference), region))
    segment_starts = {segment.start for segment in timeline.segments()} - {0}
    for row in range(len(timeline)):
        tracker.add(_alignment_image(output, row), after_cut=row in segment_starts)
        advance(1)
    return tracker


def _small_mask(output: Path, row: int) -> Float32[np.ndarray, "s s"]:
    mask = read_mask(torso_mask_path(output, row))
    return cv2.resize(mask, (ALIGNMENT_SIZE,) * 2, interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _alignment_image(output: Path, row: int) -> Float32[np.ndarray, "s s"]:
    return alignment_image(cv2.imread(str(image_path(output, row)), cv2.IMREAD_GRAYSCALE))
