"""Smooths the tracked motion of the torso and reports what was lost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from dfa_nerfstudio.media.frame_times import FrameTimes
from dfa_nerfstudio.media.timeline import Timeline
from dfa_nerfstudio.metrics.jitter import jitter
from dfa_nerfstudio.preprocessing.motion_smoothing import MotionSmoother
from dfa_nerfstudio.preprocessing.report.process_report import ProcessReport
from dfa_nerfstudio.preprocessing.torso.torso_alignment import TorsoTracker, to_focal_units

MIN_TORSO_FRACTION = 0.5
"""Minimum fraction of training frames in which the torso must be tracked."""


@dataclass
class TorsoMotion:
    """The torso's fields of `ClipAttributes`, with the same names."""

    torso_motion: Float[np.ndarray, "T 4"]
    torso_deviation: Float[np.ndarray, "T 4"]
    torso_found: Bool[np.ndarray, " T"]


def smooth_torso_motion(
    tracker: TorsoTracker | None,
    timeline: Timeline,
    times: FrameTimes,
    focal: float,
    smoothing: float,
    report: ProcessReport,
) -> TorsoMotion:
    """Smooths the torso's motion segment by segment.

    If the torso cannot be tracked, the motion is zero, `torso_found` is false in all frames, and the report has a
    warning.

    Args:
        tracker: has processed all frames; None if the frames show hardly any torso.
        timeline: segments and training frames.
        times: presentation times of the images.
        focal: focal length in image sides.
        smoothing: smoothing strength, as a multiple of the measured noise.
        report: receives the numbers of lost frames and the warnings.
    """
    num_frames, train_mask = len(timeline), timeline.train_mask
    no_motion = TorsoMotion(np.zeros((num_frames, 4)), np.zeros((num_frames, 4)), np.zeros(num_frames, bool))
    report.torso_tracked = False
    if tracker is None:
        report.warnings.append("the frames show hardly any torso; its motion is set to zero")
        return no_motion
    motion, information = tracker.measurements(train_mask)
    found = information.any((1, 2))
    if found[train_mask].mean() < MIN_TORSO_FRACTION:
        report.warnings.append("the torso cannot be tracked; its motion is set to zero")
        return no_motion
    report.torso_tracked = True
    report.torso_interpolated = int((~found & timeline.valid).sum())
    if report.torso_interpolated:
        report.warnings.append(f"the torso was lost in {report.torso_interpolated} frames, which are interpolated")
    motion = times.to_frames(motion, timeline.segments(), found)
    train_segments = [segment for segment in timeline.segments() if segment.stop <= timeline.num_train]
    smoother = MotionSmoother.fit(motion, information, train_segments, (slice(0, 2),), max(smoothing, 1e-3))
    deviation = np.zeros_like(motion)
    for run in timeline.runs():
        motion[run], deviation[run] = smoother.smooth(motion[run], information[run])
    unknown = ~np.isfinite(deviation).all(1)
    deviation[unknown] = 0
    radius = tracker.aligner.radius
    motion, deviation = (to_focal_units(part, radius, focal) for part in (motion, deviation))
    report.torso_jitter = jitter(motion[:, :2], timeline.segments()) * focal * report.image_size
    return TorsoMotion(motion, np.abs(deviation), found & ~unknown)
