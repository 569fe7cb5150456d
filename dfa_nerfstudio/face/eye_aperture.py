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
from dfa_nerfstudio.face.viewpoint import viewpoint
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.media.timeline import Timeline

CLOSED_TO_OPEN = 0.35
"""Where the landmarks put the lids of a closed eye, relative to the open one: for a person who never blinks."""
AWAKE = 0.8
"""Lids further apart than this part of what is usual do not take part in a blink."""
VIEW_EFFECT = 0.5
"""Standard deviation of how much the lid ratio of an open eye changes with a tangent of the view, before it is seen."""

NOISE = 2.0
"""Errors of the landmarks follow each other; as if each were so many times larger and alone."""
REST = 0.1
"""How much resting lids move from frame to frame, relative to the errors."""
TOGETHER = 2.0
"""How much less the two eyes' difference moves than what they have in common."""

LEVEL = round(1.0 * FRAME_RATE)
"""The level at which lids rest is taken from so many frames to each side."""
WINDOW = round(0.6 * FRAME_RATE)
"""In a blink the lids come from that level and are back near it in less than so many frames from the apex."""
LONGEST = 0.4 * FRAME_RATE
"""They are more than half closed for at most so many frames."""
DEPTH = 0.5
"""They close by at least this part of the level, on average of both eyes,"""
REOPENING = 0.35
"""and open again by at least this part, so that one blink right after another counts, and one that the film's end
catches half way up."""
DEPTH_OF_EACH = 0.35
"""And each eye by this."""


def lid_ratio(landmarks: Float[np.ndarray, "T 478 3"]) -> Float[np.ndarray, "T 2"]:
    """Distance of the lids over the width of the eye, from landmarks in head space; the eye on the image's left
    first."""
    lids = landmarks[:, EYELIDS]  # [T, 2, pairs, 2, 3]
    corners = landmarks[:, EYE_CORNERS]  # [T, 2, 2, 3]
    height = np.linalg.norm(lids[..., 0, :] - lids[..., 1, :], axis=-1).mean(-1)
    return height / np.linalg.norm(corners[..., 0, :] - corners[..., 1, :], axis=-1)


@dataclass
class Lids:
    """How far the lids of each eye seem apart, and from where they are seen."""

    ratio: Float[np.ndarray, "T 2"]
    """`lid_ratio`."""
    view: Float[np.ndarray, "T 2"]
    """Tangents of the `viewpoint`."""

    @classmethod
    def of(cls, front: Float[np.ndarray, "T 478 3"], poses: Poses) -> Lids:
        """From landmarks in head space."""
        return cls(lid_ratio(front), viewpoint(poses, front[:, EYE_CORNERS].mean((1, 2))))


@dataclass
class EyeCalibration:
    """What the lid ratio of this person's eyes means, learnt from training frames.

    The ratio of an open eye, as the landmarks have it, depends on where the eye is seen from: a quadratic in the two
    tangents of the view, fitted to frames without blinks, is divided out. What is left jitters; see `steadied`.
    """

    view: Float[np.ndarray, "3 2"]
    """Lower bound, middle and upper bound of the tangents."""
    usual: Float[np.ndarray, "6 2"]
    """Coefficients of the open eye's lid ratio."""
    noise: Float[np.ndarray, " 2"]
    """Standard deviation of the errors of what the eyes have in common and of half their difference."""
    closed: Float[np.ndarray, " 2"]
    """Lid ratio of the closed eye relative to the usual one."""
    open: Float[np.ndarray, " 2"]
    blinks_seen: bool
    """False when the person never blinked in the training part and `closed` is an anatomical guess."""

    @classmethod
    def learn(cls, lids: Lids, found: Bool[np.ndarray, " T"], timeline: Timeline) -> EyeCalibration:
        """Learns from the training frames in which the face was found.

        Open is the 90th percentile of frames without blinks; closed the lower quartile of the lowest points of blinks.

        Args:
            lids: of all T frames.
            found: where the landmarks are seen, not interpolated.
            timeline: says which frames train.
        """
        learn = found & timeline.learnable
        low, middle, high = np.percentile(lids.view[learn], [1, 50, 99], axis=0)
        view = np.stack([low, middle, high])
        usual = _fit_usual(_quadratic(lids.view[learn], view), lids.ratio[learn])
        calibration = cls(view, usual, np.ones(2), np.full(2, CLOSED_TO_OPEN), np.ones(2), False)
        relative = calibration._relative(lids)
        steps = np.diff(_common_and_difference(relative), axis=0)[
            (learn[1:] & learn[:-1]) & (np.diff(timeline.shot) == 0)
        ]
        if len(steps):
            calibration.noise = np.maximum(1.4826 / np.sqrt(2) * np.median(np.abs(steps), axis=0), 1e-4)
        # No frame after the training ones has a say in what the smoothing makes of these.
        training = [stretch for stretch in timeline.stretches() if stretch.stop <= timeline.num_train]
        relative = calibration._steadied(relative, training)
        blinks = _blinks_within((relative - CLOSED_TO_OPEN) / (1 - CLOSED_TO_OPEN), found, training)
        calibration.open = np.percentile(relative[learn & (relative.mean(1) > AWAKE)], 90, axis=0)
        calibration.blinks_seen = len(blinks) > 0
        if calibration.blinks_seen:
            calibration.closed = np.percentile(relative[blinks[:, 1].astype(int)], 25, axis=0)
        else:
            calibration.closed = CLOSED_TO_OPEN * calibration.open
        return calibration

    def opening(self, lids: Lids, timeline: Timeline) -> Float[np.ndarray, "T 2"]:
        """0 closed to 1 open."""
        relative = self._steadied(self._relative(lids), timeline.runs())
        return np.clip((relative - self.closed) / (self.open - self.closed), 0, 1)

    def _relative(self, lids: Lids) -> Float[np.ndarray, "T 2"]:
        """The lid ratio over the open eye's as seen from there."""
        usual = _quadratic(lids.view, self.view) @ self.usual
        return lids.ratio / np.clip(usual, 0.6 * self.usual[0], 1.6 * self.usual[0])

    def _steadied(self, relative: Float[np.ndarray, "T 2"], runs: list[slice]) -> Float[np.ndarray, "T 2"]:
        """Common part and difference of the eyes each `steadied` within runs. Lids move together, so that less change
        is expected of the difference, but one eye may wink."""
        result = _common_and_difference(relative)
        for run in runs:
            for part, patience in enumerate((1.0, TOGETHER)):
                result[run, part] = steadied(
                    result[run, part], patience * NOISE * self.noise[part], REST * self.noise[part]
                )
        return np.stack([result[:, 0] + result[:, 1], result[:, 0] - result[:, 1]], -1)


def steadied(values: Float[np.ndarray, " T"], noise: float, rest: float) -> Float[np.ndarray, " T"]:
    """Takes the jitter out of what mostly rests and sometimes moves fast.

    The mode of x given y = x + Gaussian noise, where the steps of x are Cauchy distributed: small ones are smoothed
    away, large ones cost next to nothing more than medium ones and keep their height. By iteratively reweighted least
    squares.

    Args:
        values: y.
        noise: standard deviation of the noise.
        rest: half width at half maximum of the distribution of steps.
    """
    if len(values) < 3:
        return values
    result = values
    for _ in range(15):
        tie = 2 * noise**2 / (rest**2 + np.diff(result) ** 2)
        band = np.ones((2, len(values)))  # scipy's upper form
        band[1, :-1] += tie
        band[1, 1:] += tie
        band[0, 1:] = -tie
        result = solveh_banded(band, values)
    return result


def find_blinks(
    opening: Float[np.ndarray, "T 2"], found: Bool[np.ndarray, " T"], timeline: Timeline
) -> Float[np.ndarray, "B 3"]:
    """Start, apex and end of every blink, in seconds.

    What blinks there are before the border between training and held-out frames does not depend on what comes after
    it, but for one that the border divides.

    Args:
        opening: 0 closed to 1 open.
        found: where the face was seen; what is interpolated is no blink.
        timeline: says which frames follow each other.
    """
    blinks, border = _blinks_within(opening, found, timeline.stretches()), timeline.num_train
    whole = Timeline(timeline.shot, len(timeline)).stretches()
    across = [
        blink
        for blink in _blinks_within(opening, found, [shot for shot in whole if shot.start < border < shot.stop])
        if blink[0] < border <= blink[2] and not ((blinks[:, 0] < blink[2]) & (blinks[:, 2] > blink[0])).any()
    ]
    blinks = np.concatenate([blinks, np.array(across).reshape(-1, 3)])
    return blinks[blinks[:, 1].argsort()] / FRAME_RATE


def _blinks_within(
    opening: Float[np.ndarray, "T 2"], found: Bool[np.ndarray, " T"], stretches: list[slice]
) -> Float[np.ndarray, "B 3"]:
    """Start, apex and end of every blink, in frames.

    A blink closes both eyes by half or more, from the level at which they rest around it, and opens them again; see the
    constants above. So a squint, a look down, eyes that stay closed, a wink and a twitch of the lids are none, nor is
    what begins or ends outside the stretch.
    """
    blinks = []
    for stretch in stretches:
        level = percentile_filter(opening[stretch], 80, size=(2 * LEVEL + 1, 1), mode="nearest")
        closure = 1 - opening[stretch] / np.maximum(level, 0.2)  # [T', 2]
        both = closure.mean(1)
        # Within the window the lids must come from and go back to rest: a peak's foot is the higher one of both.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # eyes closed for longer than the window: no blink
            apexes, _ = find_peaks(both, height=DEPTH, prominence=REOPENING, wlen=2 * WINDOW + 1)
        half_closed = peak_widths(both, apexes, rel_height=0.5, wlen=2 * WINDOW + 1)[0]
        starts, ends = peak_widths(both, apexes, rel_height=0.9, wlen=2 * WINDOW + 1)[2:]
        for apex, start, end, width in zip(apexes, starts, ends, half_closed, strict=True):
            deepest = closure[max(apex - 1, 0) : apex + 2].max(0)
            if width <= LONGEST and (deepest > DEPTH_OF_EACH).all() and found[stretch][apex]:
                last = blinks[-1] if blinks else np.full(3, -np.inf)
                blink = np.array([start, apex, end]) + stretch.start
                if blink[0] < last[2]:  # one right after the other: they part where the eyes are widest open
                    first = int(last[1])
                    last[2] = blink[0] = first + opening[first : int(blink[1]) + 1].mean(1).argmax()
                blinks.append(blink)
    return np.array(blinks).reshape(-1, 3)


def _quadratic(tangents: Float[np.ndarray, "T 2"], view: Float[np.ndarray, "3 2"]) -> Float[np.ndarray, "T 6"]:
    """1, u, v, u u, v v, u v of the tangents about their middle; views beyond the bounds count as those there."""
    u, v = (np.clip(tangents, view[0], view[2]) - view[1]).T
    return np.stack([np.ones_like(u), u, v, u * u, v * v, u * v], -1)


def _fit_usual(features: Float[np.ndarray, "T 6"], ratio: Float[np.ndarray, "T 2"]) -> Float[np.ndarray, "6 2"]:
    """The ratio of open eyes: least squares with a weak prior, over frames whose lids are far enough apart."""
    usual = np.concatenate([np.median(ratio, axis=0)[None], np.zeros((5, 2))])
    for _ in range(3):
        expected = features @ usual
        awake = (ratio > AWAKE * expected).all(1)
        if awake.sum() < 10:
            break
        for eye in range(2):
            spread = np.var((ratio - expected)[awake, eye])
            prior = np.diag([0, *[NOISE**2 * spread / (VIEW_EFFECT * usual[0, eye]) ** 2] * 5])
            seen = features[awake]
            usual[:, eye] = np.linalg.solve(seen.T @ seen + prior, seen.T @ ratio[awake, eye])
    return usual


def _common_and_difference(eyes: Float[np.ndarray, "T 2"]) -> Float[np.ndarray, "T 2"]:
    return np.stack([eyes.mean(1), (eyes[:, 0] - eyes[:, 1]) / 2], -1)
