"""How one person's blinks look in the image, and how far the lids are closed in each of them.

Behind glasses, in three-quarter view and in blurred frames the landmarks of the lids follow a blink by a tenth of its
height or not at all, while the image shows skin in the place of the iris. What a blink changes in the image is learnt
for each person without labels: from what changes when the landmarks narrow, and then from the blinks found with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8
from scipy.signal import find_peaks

from dfa_nerfstudio.media.chunks import chunk_slices
from dfa_nerfstudio.media.frame_rows import FrameRows
from dfa_nerfstudio.media.timeline import Timeline, true_runs

NUM_COMPONENTS = 16
"""Principal components of a patch's changes, for each eye."""
MAX_FRAMES = 5000
"""Maximum number of training frames from which the components are computed."""
NUM_ROUNDS = 4
"""Rounds of learning from the blinks that the previous round found."""
SHRINKAGE = 0.3
"""Variance added to every component of the changes without blinks, in mean variances. More is added where they are
estimated from few frames."""

BEFORE, AFTER = (5, 2), (3, 7)
"""Farthest and nearest frame before a closed one, and nearest and farthest after it, in one of which the eyes are
open: lids close in 2 to 4 frames and open more slowly. A glance downwards lasts longer."""
CHANGE_STEPS = 4, 5
"""Frames before and after a frame from which its change is measured."""
SPREAD = 4
"""Frames to each side of an apex that belong to the blink, and minimum distance between two apexes."""
MIN_BLINKS = 3
"""Fewest blinks from which an appearance is learnt."""
MIN_FRAMES, MAX_INTERVAL = 125, 250
"""Fewest training frames from which an appearance is learnt, and frames per blink of a person who blinks rarely: in the
first round the highest peaks, one per interval, set the expected height."""
MIN_HEIGHT, NUM_DEVIATIONS = 0.6, 3.0
"""Minimum height of a blink as a fraction of the median blink's, and in standard deviations of the noise."""
MIN_CONFIRMATION = 5.0
"""Mean narrowing of the landmarks in the blinks that the image shows, in standard errors, below which what was learnt
is no blink. Eight clips reach 15 to 76; what was learnt wrongly from one without blinks reached 1."""
REST_HEIGHT = 0.2
"""Height of open eyes as a fraction of closed ones, because the smallest of several noisy frames is subtracted."""


@dataclass
class BlinkAppearance:
    """Linear score of the patches of both eyes that rises when the lids close.

    The score is a linear discriminant between the apexes of blinks and all other changes: turns of the head, glances,
    reflections. It therefore weighs each eye, and each part of it, by how well a blink is seen there.
    """

    basis: Float32[np.ndarray, "2 P K"]
    """Principal components of the changes of each eye's patch."""
    weights: Float[np.ndarray, " 2*K"]
    """Weights of the components of both eyes."""
    min_height: float
    """Minimum height of a blink's score, see `_heights`."""
    closed: float
    """Height of the score of closed eyes: the lower quartile over the blinks."""

    @classmethod
    def fit(
        cls,
        patches: UInt8[np.ndarray, "T 2 h w"] | FrameRows,
        lid_ratio: Float[np.ndarray, "T 2"],
        found: Bool[np.ndarray, " T"],
        timeline: Timeline,
    ) -> BlinkAppearance | None:
        """Learns from the training frames in which the face was found; None if their images show no blinks.

        Args:
            patches: see `eye_patches`.
            lid_ratio: lid ratios from landmarks, see `eye_aperture.lid_ratio`.
            found: whether each frame's landmarks are measured, not interpolated.
            timeline: defines the training frames.
        """
        train = found & timeline.train_mask
        segments = [segment for segment in timeline.segments() if segment.stop <= timeline.num_train]
        rows, frames = np.flatnonzero(train), np.arange(len(train))
        if len(rows) < MIN_FRAMES:
            return None
        basis = _principal_components(patches, rows[:: 1 + len(rows) // MAX_FRAMES], segments)
        components = _project(patches, basis)
        changes = _changes(components, frames, segments)
        narrowing = -_changes(lid_ratio.mean(1) / np.median(lid_ratio[train]), frames, segments)
        weights = _discriminant(changes[train], changes[train].T @ narrowing[train] / len(rows))
        blinks = np.zeros(0, int)
        for _ in range(NUM_ROUNDS):
            heights = _heights(components @ weights, segments)
            peaks = _peaks(heights, segments)
            peaks = peaks[train[peaks]]
            if len(peaks) < MIN_BLINKS:
                return None
            highest = heights[blinks] if len(blinks) else np.sort(heights[peaks])[-max(3, len(rows) // MAX_INTERVAL) :]
            limit = max(NUM_DEVIATIONS * _deviation(changes[train] @ weights), MIN_HEIGHT * float(np.median(highest)))
            blinks = peaks[heights[peaks] > limit]
            if len(blinks) < MIN_BLINKS:
                return None
            rest = train.copy()
            rest[np.clip(blinks[:, None] + np.arange(-SPREAD, SPREAD + 1), 0, len(rest) - 1)] = False
            weights = _discriminant(changes[rest], changes[blinks].mean(0))
        if narrowing[blinks].mean() * np.sqrt(len(blinks)) < MIN_CONFIRMATION * _deviation(narrowing[train]):
            return None
        heights = _heights(components @ weights, segments)[blinks]
        return cls(basis, weights, MIN_HEIGHT * float(np.median(heights)), float(np.percentile(heights, 25)))

    def closure(self, patches: UInt8[np.ndarray, "T 2 h w"] | FrameRows, timeline: Timeline) -> Float[np.ndarray, " T"]:
        """How far the lids are closed in blinks, 0 open to 1 closed; 0 between blinks.

        Args:
            patches: see `eye_patches`.
            timeline: defines which frames are consecutive.
        """
        segments = timeline.segments()
        heights = _heights(_project(patches, self.basis) @ self.weights, segments)
        closure = np.clip((heights / self.closed - REST_HEIGHT) / (1 - REST_HEIGHT), 0, 1)
        in_blink = np.zeros(len(closure), bool)
        in_blink[_peaks(heights, segments, self.min_height)] = True
        for run in true_runs(closure > 0):
            if not in_blink[run].any():
                closure[run] = 0
        return closure


def _standardize(patches: UInt8[np.ndarray, "T 2 h w"]) -> Float32[np.ndarray, "T 2 P"]:
    """Pixels with zero mean and about unit variance, which do not depend on the light."""
    pixels = patches.reshape(*patches.shape[:2], -1).astype(np.float32)
    pixels -= pixels.mean(-1, keepdims=True)
    return pixels / (pixels.std(-1, keepdims=True) + 3)  # 3 grey levels: a patch without contrast is all noise


def _changes(
    values: Float[np.ndarray, "T ..."], rows: Int[np.ndarray, " N"], segments: list[slice]
) -> Float[np.ndarray, "N ..."]:
    """Difference of some rows to the mean of one row before and one after each, within its segment."""
    before, after = _neighbours(rows, segments)
    return values[rows] - (values[before] + values[after]) / 2


def _neighbours(
    rows: Int[np.ndarray, " N"], segments: list[slice]
) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"]]:
    before, after = rows.copy(), rows.copy()
    for segment in segments:
        inside = (segment.start <= rows) & (rows < segment.stop)
        before[inside] = np.maximum(rows[inside] - CHANGE_STEPS[0], segment.start)
        after[inside] = np.minimum(rows[inside] + CHANGE_STEPS[1], segment.stop - 1)
    return before, after


def _principal_components(
    patches: UInt8[np.ndarray, "T 2 h w"] | FrameRows, rows: Int[np.ndarray, " N"], segments: list[slice]
) -> Float32[np.ndarray, "2 P K"]:
    """Principal components of the changes of the patches in some rows."""
    num_pixels = patches[0][0].size
    covariances = np.zeros((2, num_pixels, num_pixels), np.float32)
    for chunk in chunk_slices(len(rows)):
        before, after = _neighbours(rows[chunk], segments)
        changes = _standardize(patches[rows[chunk]])
        changes -= (_standardize(patches[before]) + _standardize(patches[after])) / 2
        covariances += np.einsum("tep,teq->epq", changes, changes, optimize=True)
    return np.linalg.eigh(covariances)[1][..., ::-1][..., :NUM_COMPONENTS]


def _project(
    patches: UInt8[np.ndarray, "T 2 h w"] | FrameRows, basis: Float32[np.ndarray, "2 P K"]
) -> Float[np.ndarray, "T 2*K"]:
    """Components of the patches of both eyes."""
    parts = [
        np.einsum("tep,epk->tek", _standardize(patches[rows]), basis, optimize=True)
        for rows in chunk_slices(len(patches))
    ]
    return np.concatenate(parts).reshape(len(patches), -1).astype(np.float64)


def _discriminant(changes: Float[np.ndarray, "N D"], direction: Float[np.ndarray, " D"]) -> Float[np.ndarray, " D"]:
    """The linear discriminant for a direction against the covariance of changes, with unit response to it."""
    count, size = changes.shape
    variance = changes.var(0).mean() + 1e-12
    covariance = changes.T @ changes / count + (SHRINKAGE + size / count) * variance * np.eye(size)
    weights = np.linalg.solve(covariance, direction)
    return weights / (weights @ direction + 1e-12)


def _deviation(values: Float[np.ndarray, " N"]) -> float:
    """Standard deviation of values about zero, except for rare large ones."""
    return 1.4826 * float(np.median(np.abs(values)))


def _heights(score: Float[np.ndarray, " T"], segments: list[slice]) -> Float[np.ndarray, " T"]:
    """How far the score of each frame rises above a frame before and above a frame after it."""
    result = np.zeros(len(score))
    for segment in segments:
        values = score[segment]
        frames, last = np.arange(len(values)), len(values) - 1
        before = np.stack([values[np.maximum(frames - k, 0)] for k in range(BEFORE[1], BEFORE[0] + 1)]).min(0)
        after = np.stack([values[np.minimum(frames + k, last)] for k in range(AFTER[0], AFTER[1] + 1)]).min(0)
        result[segment] = values - np.maximum(before, after)
    return result


def _peaks(values: Float[np.ndarray, " T"], segments: list[slice], height: float = 0.0) -> Int[np.ndarray, " N"]:
    """Frames of the local maxima within each segment."""
    peaks = [segment.start + find_peaks(values[segment], height=height, distance=SPREAD)[0] for segment in segments]
    return np.concatenate([*peaks, np.zeros(0, int)])
