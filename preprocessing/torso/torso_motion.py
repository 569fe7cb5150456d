"""From what the torso was followed by to its smooth motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from dfa_nerfstudio.media.timeline import Timeline
from dfa_nerfstudio.metrics.jitter import jitter
from dfa_nerfstudio.preprocessing.motion_smoothing import MotionSmoother
from dfa_nerfstudio.preprocessing.report.process_report import Report
from dfa_nerfstudio.preprocessing.torso.torso_alignment import TorsoTracker, in_focal_lengths

LEAST_TORSO = 0.5
"""Part of the training frames in which the torso must be found."""


@dataclass
class TorsoMotion:
    """The fields of `ClipAttributes` of these names."""

    torso_motion: Float[np.ndarray, "T 4"]
    torso_deviation: Float[np.ndarray, "T 4"]
    torso_found: Bool[np.ndarray, " T"]


def smoothed_torso(
    tracker: TorsoTracker | None, timeline: Timeline, focal: float, smoothing: float, report: Report
) -> TorsoMotion:
    """Each stretch is smoothed for itself. Zeros and found nowhere, with a warning, where no torso can be followed.

    Args:
        tracker: has seen all frames; None where hardly any torso is in the picture.
        timeline: which frames follow each other.
        focal: in image sides.
        smoothing: how many times stronger than what the noise asks for; 0 for none.
        report: told what was found and lost.
    """
    count, train = len(timeline), timeline.learnable
    none = TorsoMotion(np.zeros((count, 4)), np.zeros((count, 4)), np.zeros(count, bool))
    report.torso_tracked = False
    if tracker is None:
        report.warnings.append("hardly any torso in the picture; its motion is taken as none")
        return none
    motion, information = tracker.tracks(train)
    found = information.any((1, 2))
    if found[train].mean() < LEAST_TORSO:
        report.warnings.append("the torso cannot be followed; its motion is taken as none")
        return none
    report.torso_tracked = True
    report.torso_interpolated = int((~found & timeline.usable).sum())
    if report.torso_interpolated:
        report.warnings.append(f"the torso was lost in {report.torso_interpolated} frames, which are interpolated")
    learnt_from = [run for run in timeline.stretches() if run.stop <= timeline.num_train]
    smoother = MotionSmoother.learn(motion, information, learnt_from, (slice(0, 2),), max(smoothing, 1e-3))
    deviation = np.zeros_like(motion)
    for run in timeline.runs():
        motion[run], deviation[run] = smoother.smooth(motion[run], information[run])
    unknown = ~np.isfinite(deviation).all(1)
    deviation[unknown] = 0
    radius = tracker.aligner.radius
    motion, deviation = (in_focal_lengths(part, radius, focal) for part in (motion, deviation))
    report.torso_jitter = jitter(motion[:, :2], timeline.stretches()) * focal * report.size
    return TorsoMotion(motion, np.abs(deviation), found & ~unknown)
