"""From landmarks and pictures to the numbers of `ClipAttributes`: learnt on training frames, measured on all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from dfa_nerfstudio.data.dataset_folder import FRAME_RATE
from dfa_nerfstudio.preprocessing.config import ProcessConfig
from dfa_nerfstudio.preprocessing.eyes import EyeCalibration, find_blinks
from dfa_nerfstudio.preprocessing.face_topology import CHIN, LANDMARKS_68, RIGID
from dfa_nerfstudio.preprocessing.footage import Footage
from dfa_nerfstudio.preprocessing.head_fit import HeadFit, fit_head, upright
from dfa_nerfstudio.preprocessing.head_pose import Poses, back_project, join, project
from dfa_nerfstudio.preprocessing.images import image_path, read_image
from dfa_nerfstudio.preprocessing.morphable_model import learn_morphable_model
from dfa_nerfstudio.preprocessing.mouth import mouth_opening
from dfa_nerfstudio.preprocessing.smoothing import jitter, smooth_track, typical_acceleration
from dfa_nerfstudio.preprocessing.stages import Stages
from dfa_nerfstudio.preprocessing.torso import (
    TorsoAligner,
    in_focal_lengths,
    torso_region,
    track_torso,
    tracking_image,
)
from dfa_nerfstudio.preprocessing.tracking import Tracked


def measure(
    tracked: Tracked, footage: Footage, folder: Path, config: ProcessConfig, stages: Stages
) -> dict[str, np.ndarray]:
    """Every field of `ClipAttributes` but those of the sound.

    Args:
        tracked: what the pass over the frames found.
        footage: the frames.
        folder: where the images lie.
        config: options.
        stages: progress and report.
    """
    report, size, timeline = stages.report, config.size, tracked.timeline
    landmarks, learn = tracked.landmarks, timeline.learnable & tracked.found
    with stages.stage("head pose"):
        head, poses = _head_poses(tracked, config.smoothing, stages)
    errors = head.errors(landmarks, poses) * size
    report.focal_length, report.eye_distance = head.focal, head.scale * size
    report.reprojection_error = float(errors[timeline.learnable].mean())
    if (held_out := timeline.usable & ~timeline.learnable).any():
        report.reprojection_error_held_out = float(errors[held_out].mean())

    with stages.stage("expression and eyes"):
        front = back_project(upright(landmarks)[..., :2], head.shape, head.focal, poses)
        model = learn_morphable_model(front[learn], config.expressions)
        eyes = EyeCalibration.learn(front, poses, tracked.found, timeline)
        eye_opening = eyes.opening(front, poses, timeline)
        blinks = find_blinks(eye_opening, tracked.found, timeline)
    report.blinks_seen, report.blinks = eyes.blinks_seen, len(blinks)
    report.blinks_per_second = len(blinks) * FRAME_RATE / int(timeline.usable.sum())
    if not eyes.blinks_seen:
        report.warnings.append("no blink in the training part; what a closed eye looks like is a guess")
    return {
        "shot": timeline.shot,
        "face_found": tracked.found,
        "landmarks": landmarks * size,
        "front_landmarks": front[:, LANDMARKS_68],
        "head_to_camera": poses.matrices(),
        "torso_motion": _torso_motion(tracked, folder, head.focal, config.smoothing, poses, stages),
        "torso_deviation": np.zeros((len(footage), 4)),
        "torso_found": np.full(len(footage), report.torso_tracked),
        "eye_opening": eye_opening,
        "blinks": blinks,
        "mouth_opening": mouth_opening(front, poses),
        "expression": model.project(front),
        "blendshapes": tracked.blendshapes,
        "mean_shape": model.mean,
        "identity_basis": model.identity_basis,
        "identity": model.identity,
        "expression_basis": model.expression_basis,
    }


def _head_poses(tracked: Tracked, smoothing: float, stages: Stages) -> tuple[HeadFit, Poses]:
    """Learns the head from training frames and follows it through all, each stretch smoothed for itself."""
    report, timeline = stages.report, tracked.timeline
    head = fit_head(tracked.landmarks[timeline.learnable & tracked.found])
    raw = head.poses(tracked.landmarks)
    acceleration = typical_acceleration(raw.translation[timeline.learnable, :2])
    poses = join(
        [
            head.smooth(tracked.landmarks[run], tracked.found[run], raw[run], acceleration, smoothing)
            if timeline.usable[run.start]
            else raw[run]
            for run in timeline.runs()
        ]
    )
    rigid = head.shape[RIGID]
    report.jitter_before_smoothing = report.size * jitter(
        project(raw.to_camera(rigid), head.focal), timeline.stretches()
    )
    report.jitter = report.size * jitter(project(poses.to_camera(rigid), head.focal), timeline.stretches())
    return head, poses


def _torso_motion(
    tracked: Tracked, folder: Path, focal: float, smoothing: float, poses: Poses, stages: Stages
) -> Float[np.ndarray, "T 4"]:
    """The torso's motion since the training frame in which the head is nearest to its usual place; zeros, with a
    warning, where no torso can be followed."""
    report, timeline, train = stages.report, tracked.timeline, tracked.timeline.learnable
    none = np.zeros((report.frames, 4))
    region = torso_region(tracked.mean_alpha, float(np.percentile(tracked.landmarks[train, CHIN, 1], 99)))
    if region is None:
        report.torso_tracked = False
        report.warnings.append("hardly any torso in the picture; its motion is taken as none")
        return none
    away = np.linalg.norm(poses.translation - np.median(poses.translation[train], axis=0), axis=-1)
    reference = int(np.where(train, away, np.inf).argmin())
    with stages.stage("torso", report.frames) as advance:

        def pictures() -> Iterator[np.ndarray]:
            for number in range(report.frames):
                yield tracking_image(read_image(image_path(folder, number)))
                advance(1)

        aligner = TorsoAligner(tracking_image(read_image(image_path(folder, reference))), region)
        motion, information, found = track_torso(pictures(), aligner, train, set(timeline.cuts))
    if found[train].mean() < 0.5:
        report.torso_tracked = False
        report.warnings.append("the torso cannot be followed; its motion is taken as none")
        return none
    report.torso_interpolated = int((~found).sum())
    if report.torso_interpolated:
        report.warnings.append(f"the torso was lost in {report.torso_interpolated} frames, which are interpolated")
    acceleration = typical_acceleration(motion[train & found, :2])
    weight = information / max(smoothing, 1e-3)
    motion = np.concatenate([smooth_track(motion[run], weight[run], acceleration) for run in timeline.runs()])
    motion = in_focal_lengths(motion, aligner.radius, focal)
    report.torso_jitter = jitter(motion[:, :2], timeline.stretches()) * focal * report.size
    return motion
