"""Eye opening between 0 (closed) and 1 (open), calibrated to the person, and blinks."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import solveh_banded
from scipy.ndimage import percentile_filter
from scipy.signal import find_peaks, peak_widths

from dfa_nerfstudio.face.head_pose import Poses
from dfa_nerfstudio.face.topology import EYE_CORNERS, EYELIDS
from dfa_nerfstudio.face.viewpoint import view_tangents
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.media.timeline import Timeline

DEFAULT_CLOSED_RATIO = 0.35
"""Lid ratio of a closed eye over that of the open eye, assumed for a person who never blinks."""
MIN_AWAKE_RATIO = 0.8
"""Lid ratio relative to the open eye's above which the lids are not part of a blink."""
VIEW_EFFECT_DEVIATION = 0.5
"""Expected change of an open eye's lid ratio with the viewing angle: prior standard deviation, relative, per unit of
the tangent of that angle."""

NOISE_FACTOR = 2.0
"""Factor on the landmarks' errors: they are correlated over time, so they count as larger than they are."""
REST_STEP_FACTOR = 0.1
"""Motion of resting lids from frame to frame, relative to the landmarks' errors."""
DIFFERENCE_NOISE_FACTOR = 2.0
"""Factor on the noise of the two eyes' difference: it moves less than their mean, so it is smoothed more."""

LEVEL_REACH = round(1.0 * FRAME_RATE)
"""Frames to each side from which the resting level of the lids is computed."""
BLINK_REACH = round(0.6 * FRAME_RATE)
"""Frames to each side of a blink's apex within which the lids leave the resting level and return near it."""
MAX_HALF_CLOSED = 0.4 * FRAME_RATE
"""Longest time that the lids are more than half closed in a blink, in frames."""
MIN_INTERVAL = round(0.2 * FRAME_RATE)
"""Minimum time between the apexes of two blinks, in frames."""
MIN_DEPTH = 0.5
"""Minimum closure of a blink as a fraction of the resting level, mean of both eyes."""
MIN_REOPENING = 0.35
"""Minimum reopening of a blink as a fraction of the resting level. Smaller than `MIN_DEPTH`, so that of two blinks in
quick succession both count, and one that is half reopened at the end of the video."""
MIN_DEPTH_PER_EYE = 0.35
"""Minimum closure of each eye in a blink as a fraction of the resting level."""


def lid_ratio(landmarks: Float[np.ndarray, "T 478 3"]) -> Float[np.ndarray, "T 2"]:
    """Distance between the lids divided by the width of the eye, from landmarks in head space; the eye on the image's
    left first."""
    lids = landmarks[:, EYELIDS]  # [T, 2, pairs, 2, 3]
    corners = landmarks[:, EYE_CORNERS]  # [T, 2, 2, 3]
    height = np.linalg.norm(lids[..., 0, :] - lids[..., 1, :], axis=-1).mean(-1)
    return height / np.linalg.norm(corners[..., 0, :] - corners[..., 1, :], axis=-1)


@dataclass
class LidObservations:
    """Measured lid ratio of each eye, and the view it was measured from."""

    ratio: Float[np.ndarray, "T 2"]
    """Lid ratios, see `lid_ratio`."""
    view: Float[np.ndarray, "T 2"]
    """Direction to the camera, see `view_tangents`."""

    @classmethod
    def from_landmarks(cls, landmarks: Float[np.ndarray, "T 478 3"], poses: Poses) -> LidObservations:
        """Measures the lids.

        Args:
            landmarks: in head space.
            poses: with which the landmarks were brought to head space.
        """
        return cls(lid_ratio(landmarks), view_tangents(poses, landmarks[:, EYE_CORNERS].mean((1, 2))))


@dataclass
class EyeCalibration:
    """Lid ratios of one person's open and closed eyes, fitted to training frames.

    The ratio of an open eye, as the landmarks measure it, depends on the view: it is modelled by a quadratic in the two
    tangents of the view, fitted to frames without blinks, and divided out. The result is smoothed, see `smooth_robust`.
    """

    view_bounds: Float[np.ndarray, "3 2"]
    """Lower bound, centre and upper bound of the view tangents."""
    open_coefficients: Float[np.ndarray, "6 2"]
    """Coefficients of the quadratic model of each open eye's lid ratio."""
    noise: Float[np.ndarray, " 2"]
    """Standard deviation of the errors of the two eyes' mean and of half their difference, in relative lid ratios."""
    closed: Float[np.ndarray, " 2"]
    """Lid ratio of each closed eye relative to the quadratic model."""
    open: Float[np.ndarray, " 2"]
    """Lid ratio of each open eye relative to the quadratic model."""
    blinks_observed: bool
    """Whether the person blinks in the training frames; otherwise `closed` is an anatomical default."""

    @classmethod
    def fit(cls, lids: LidObservations, found: Bool[np.ndarray, " T"], timeline: Timeline) -> EyeCalibration:
        """Fits a calibration to the training frames in which the face was found.

        Open is the 90th percentile of frames without blinks; closed the lower quartile of the blinks' apexes.

        Args:
            lids: of all T frames.
            found: whether each frame's landmarks are measured, not interpolated.
            timeline: defines the training frames.
        """
        train = found & timeline.train_mask
        low, centre, high = np.percentile(lids.view[train], [1, 50, 99], axis=0)
        view_bounds = np.stack([low, centre, high])
        open_coefficients = _fit_open_ratio(_quadratic(lids.view[train], view_bounds), lids.ratio[train])
        default_closed = np.full(2, DEFAULT_CLOSED_RATIO)
        calibration = cls(view_bounds, open_coefficients, np.ones(2), default_closed, np.ones(2), False)
        relative = calibration._relative(lids)
        consecutive = (train[1:] & train[:-1]) & (np.diff(timeline.shot) == 0)
        steps = np.diff(_mean_and_difference(relative), axis=0)[consecutive]
        if len(steps):
            calibration.noise = np.maximum(1.4826 / np.sqrt(2) * np.median(np.abs(steps), axis=0), 1e-4)
        # Training frames are smoothed without the held-out ones.
        train_segments = [segment for segment in timeline.segments() if segment.stop <= timeline.num_train]
        relative = calibration._smooth(relative, train_segments)
        opening = (relative - DEFAULT_CLOSED_RATIO) / (1 - DEFAULT_CLOSED_RATIO)
        blinks = _find_blinks_within(opening, found, train_segments)
        calibration.open = np.percentile(relative[train & (relative.mean(1) > MIN_AWAKE_RATIO)], 90, axis=0)
        calibration.blinks_observed = len(blinks) > 0
        if calibration.blinks_observed:
            calibration.closed = np.percentile(relative[blinks[:, 1].astype(int)], 25, axis=0)
        else:
            calibration.closed = DEFAULT_CLOSED_RATIO * calibration.open
        return calibration

    def opening(self, lids: LidObservations, timeline: Timeline) -> Float[np.ndarray, "T 2"]:
        """Opening of each eye in each frame, 0 closed to 1 open."""
        relative = self._smooth(self._relative(lids), timeline.runs())
        return np.clip((relative - self.closed) / (self.open - self.closed), 0, 1)

    def _relative(self, lids: LidObservations) -> Float[np.ndarray, "T 2"]:
        """The lid ratio divided by the open eye's from the same view."""
        open_ratio = _quadratic(lids.view, self.view_bounds) @ self.open_coefficients
        centre_ratio = self.open_coefficients[0]
        return lids.ratio / np.clip(open_ratio, 0.6 * centre_ratio, 1.6 * centre_ratio)

    def _smooth(self, relative: Float[np.ndarray, "T 2"], runs: list[slice]) -> Float[np.ndarray, "T 2"]:
        """Smooths the mean and the difference of the eyes within each run with `smooth_robust`.

        Less change is expected of the difference because the lids move together; but one eye may wink.
        """
        result = _mean_and_difference(relative)
        for run in runs:
            for part, factor in enumerate((1.0, DIFFERENCE_NOISE_FACTOR)):
                noise = factor * NOISE_FACTOR * self.noise[part]
                result[run, part] = smooth_robust(result[run, part], noise, REST_STEP_FACTOR * self.noise[part])
        return np.stack([result[:, 0] + result[:, 1], result[:, 0] - result[:, 1]], -1)


def smooth_robust(values: Float[np.ndarray, " T"], noise: float, step_scale: float) -> Float[np.ndarray, " T"]:
    """Removes jitter from a signal that rests most of the time and sometimes moves fast.

    The posterior mode of x given y = x + Gaussian noise, where the steps of x are Cauchy distributed: small steps are
    smoothed away; large ones cost hardly more than medium ones, and keep their height. Computed by iteratively
    reweighted least squares.

    Args:
        values: y.
        noise: standard deviation of the noise.
        step_scale: half width at half maximum of the distribution of steps.
    """
    if len(values) < 3:
        return values
    result = values
    for _ in range(15):
        weight = 2 * noise**2 / (step_scale**2 + np.diff(result) ** 2)
        band = np.ones((2, len(values)))  # scipy's upper form
        band[1, :-1] += weight
        band[1, 1:] += weight
        band[0, 1:] = -weight
        result = solveh_banded(band, values)
    return result


def find_blinks(
    opening: Float[np.ndarray, "T 2"], found: Bool[np.ndarray, " T"], timeline: Timeline
) -> Float[np.ndarray, "B 3"]:
    """Start, apex and end of every blink, in seconds.

    The blinks before the border between training and held-out frames do not depend on the frames after it, except for
    a blink that crosses the border.

    Args:
        opening: 0 closed to 1 open.
        found: whether the face was found in each frame; an interpolated apex is no blink.
        timeline: defines which frames are consecutive.
    """
    blinks, border = _find_blinks_within(opening, found, timeline.segments()), timeline.num_train
    shots = Timeline(timeline.shot, len(timeline)).segments()
    crossing = [
        blink
        for blink in _find_blinks_within(opening, found, [shot for shot in shots if shot.start < border < shot.stop])
        if blink[0] < border <= blink[2] and not ((blinks[:, 0] < blink[2]) & (blinks[:, 2] > blink[0])).any()
    ]
    blinks = np.concatenate([blinks, np.array(crossing).reshape(-1, 3)])
    return blinks[blinks[:, 1].argsort()] / FRAME_RATE


def _find_blinks_within(
    opening: Float[np.ndarray, "T 2"], found: Bool[np.ndarray, " T"], segments: list[slice]
) -> Float[np.ndarray, "B 3"]:
    """Start, apex and end of every blink within segments, in frames.

    A blink closes both eyes by half or more, from the level at which they rest around it, and opens them again; see the
    constants above. Squints, glances downwards, closed eyes, winks and twitches of the lids are no blinks, nor is a
    closure that begins or ends outside the segment.
    """
    blinks = []
    for segment in segments:
        level = percentile_filter(opening[segment], 80, size=(2 * LEVEL_REACH + 1, 1), mode="nearest")
        closure = 1 - opening[segment] / np.maximum(level, 0.2)  # [T', 2]
        mean_closure = closure.mean(1)
        window = 2 * BLINK_REACH + 1
        # A peak's prominence is measured from the higher one of its two feet within the window, so that the lids must
        # both come from rest and return to it.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # for eyes closed for longer than the window: no blink
            apexes, _ = find_peaks(
                mean_closure, height=MIN_DEPTH, distance=MIN_INTERVAL, prominence=MIN_REOPENING, wlen=window
            )
        half_closed = peak_widths(mean_closure, apexes, rel_height=0.5, wlen=window)[0]
        starts, ends = peak_widths(mean_closure, apexes, rel_height=0.9, wlen=window)[2:]
        for apex, start, end, width in zip(apexes, starts, ends, half_closed, strict=True):
            depth = closure[max(apex - 1, 0) : apex + 2].max(0)
            if width <= MAX_HALF_CLOSED and (depth > MIN_DEPTH_PER_EYE).all() and found[segment][apex]:
                previous = blinks[-1] if blinks else np.full(3, -np.inf)
                blink = np.array([start, apex, end]) + segment.start
                if blink[0] < previous[2]:  # in quick succession: separated where the eyes are widest open
                    first = int(previous[1])
                    previous[2] = blink[0] = first + opening[first : int(blink[1]) + 1].mean(1).argmax()
                blinks.append(blink)
    return np.array(blinks).reshape(-1, 3)


def _quadratic(view: Float[np.ndarray, "T 2"], view_bounds: Float[np.ndarray, "3 2"]) -> Float[np.ndarray, "T 6"]:
    """1, u, v, u u, v v, u v of the view tangents about their centre, clamped to their bounds."""
    u, v = (np.clip(view, view_bounds[0], view_bounds[2]) - view_bounds[1]).T
    return np.stack([np.ones_like(u), u, v, u * u, v * v, u * v], -1)


def _fit_open_ratio(features: Float[np.ndarray, "T 6"], ratio: Float[np.ndarray, "T 2"]) -> Float[np.ndarray, "6 2"]:
    """Coefficients of the open eyes' lid ratio: least squares with a weak prior, over the frames with open eyes."""
    coefficients = np.concatenate([np.median(ratio, axis=0)[None], np.zeros((5, 2))])
    for _ in range(3):
        expected = features @ coefficients
        awake = (ratio > MIN_AWAKE_RATIO * expected).all(1)
        if awake.sum() < 10:
            break
        for eye in range(2):
            variance = np.var((ratio - expected)[awake, eye])
            deviation = VIEW_EFFECT_DEVIATION * coefficients[0, eye]
            prior = np.diag([0, *[NOISE_FACTOR**2 * variance / deviation**2] * 5])
            used = features[awake]
            coefficients[:, eye] = np.linalg.solve(used.T @ used + prior, used.T @ ratio[awake, eye])
    return coefficients


def _mean_and_difference(eyes: Float[np.ndarray, "T 2"]) -> Float[np.ndarray, "T 2"]:
    """Mean of the two eyes, and half of their difference."""
    return np.stack([eyes.mean(1), (eyes[:, 0] - eyes[:, 1]) / 2], -1)
