"""From landmarks and pictures to the numbers of `ClipAttributes`: learnt on training frames, measured on all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from dfa_nerfstudio.preprocessing.config import ProcessConfig
from dfa_nerfstudio.preprocessing.eyes import EyeCalibration, lid_ratio
from dfa_nerfstudio.preprocessing.face_topology import CHIN, INNER_LIPS, LANDMARKS_68, RIGID
from dfa_nerfstudio.preprocessing.footage import Footage
from dfa_nerfstudio.preprocessing.head_fit import HeadFit, fit_head, upright
from dfa_nerfstudio.preprocessing.head_pose import Poses, back_project, join, project
from dfa_nerfstudio.preprocessing.images import image_path, read_image
from dfa_nerfstudio.preprocessing.morphable_model import learn_morphable_model
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

Parts = tuple[slice, ...]
"""The training frames and, where there are any, the held-out ones."""


def measure(
    tracked: Tracked, footage: Footage, folder: Path, config: ProcessConfig, parts: Parts, stages: Stages
) -> dict[str, np.ndarray]:
    """Every field of `ClipAttributes` but those of the sound.

    Args:
        tracked: what the pass over the frames found.
        footage: the frames.
        folder: where the images lie.
        config: options.
        parts: training and held-out frames.
        stages: progress and report.
    """
    report, train, size = stages.report, parts[0], config.size
    landmarks = tracked.landmarks
    with stages.stage("head pose"):
        head, poses = _head_poses(tracked, config.smoothing, parts, stages)
    errors = head.errors(landmarks, poses) * size
    report.focal_length, report.eye_distance = head.focal, head.scale * size
    report.reprojection_error = float(errors[train].mean())
    if len(parts) > 1:
        report.reprojection_error_held_out = float(errors[parts[1]].mean())

    with stages.stage("expression and eyes"):
        front = back_project(upright(landmarks)[..., :2], head.shape, head.focal, poses)
        model = learn_morphable_model(front[train][tracked.found[train]], config.expressions)
        ratio = lid_ratio(front)
        eyes = EyeCalibration.learn(ratio[train])
    report.blinks_seen = eyes.blinks_seen
    if not eyes.blinks_seen:
        report.warnings.append("no blink in the training part; what a closed eye looks like is a guess")
    upper, lower = front[:, INNER_LIPS].transpose(2, 0, 1, 3)  # [T, pairs, 3] each
    return {
        "shot": np.zeros(len(footage), np.int32),
        "face_found": tracked.found,
        "landmarks": landmarks * size,
        "front_landmarks": front[:, LANDMARKS_68],
        "head_to_camera": poses.matrices(),
        "torso_motion": _torso_motion(tracked, folder, head.focal, config.smoothing, poses, parts, stages),
        "torso_deviation": np.zeros((len(footage), 4)),
        "torso_found": np.full(len(footage), report.torso_tracked),
        "eye_opening": eyes.opening(ratio),
        "blinks": np.zeros((0, 3)),
        "mouth_opening": np.linalg.norm(upper - lower, axis=-1).mean(-1),
        "expression": model.project(front),
        "blendshapes": np.zeros((len(footage), 0)),
        "mean_shape": model.mean,
        "identity_basis": model.identity_basis,
        "identity": model.identity,
        "expression_basis": model.expression_basis,
    }


def _head_poses(tracked: Tracked, smoothing: float, parts: Parts, stages: Stages) -> tuple[HeadFit, Poses]:
    """Learns the head from training frames and follows it through all, each part smoothed for itself."""
    report, train = stages.report, parts[0]
    head = fit_head(tracked.landmarks[train][tracked.found[train]])
    raw = head.poses(tracked.landmarks)
    acceleration = typical_acceleration(raw.translation[train, :2])
    poses = join(
        [
            head.smooth(tracked.landmarks[part], tracked.found[part], raw[part], acceleration, smoothing)
            for part in parts
        ]
    )
    rigid = head.shape[RIGID]
    report.jitter_before_smoothing = report.size * jitter(project(raw.to_camera(rigid), head.focal))
    report.jitter = report.size * jitter(project(poses.to_camera(rigid), head.focal))
    return head, poses


def _torso_motion(
    tracked: Tracked, folder: Path, focal: float, smoothing: float, poses: Poses, parts: Parts, stages: Stages
) -> Float[np.ndarray, "T 4"]:
    """The torso's motion since the training frame in which the head is nearest to its usual place; zeros, with a
    warning, where no torso can be followed."""
    report, train = stages.report, parts[0]
    none = np.zeros((report.frames, 4))
    region = torso_region(tracked.mean_alpha, float(np.percentile(tracked.landmarks[train, CHIN, 1], 99)))
    if region is None:
        report.torso_tracked = False
        report.warnings.append("hardly any torso in the picture; its motion is taken as none")
        return none
    places = poses.translation[train]
    reference = int(np.linalg.norm(places - np.median(places, axis=0), axis=-1).argmin())
    with stages.stage("torso", report.frames) as advance:

        def pictures() -> Iterator[np.ndarray]:
            for number in range(report.frames):
                yield tracking_image(read_image(image_path(folder, number)))
                advance(1)

        aligner = TorsoAligner(tracking_image(read_image(image_path(folder, reference))), region)
        motion, information, found = track_torso(pictures(), aligner, train.stop)
    if found[train].mean() < 0.5:
        report.torso_tracked = False
        report.warnings.append("the torso cannot be followed; its motion is taken as none")
        return none
    report.torso_interpolated = int((~found).sum())
    if report.torso_interpolated:
        report.warnings.append(f"the torso was lost in {report.torso_interpolated} frames, which are interpolated")
    acceleration = typical_acceleration(motion[train, :2][found[train]])
    weight = information / max(smoothing, 1e-3)
    motion = np.concatenate([smooth_track(motion[part], weight[part], acceleration) for part in parts])
    motion = in_focal_lengths(motion, aligner.radius, focal)
    report.torso_jitter = jitter(motion[:, :2]) * focal * report.size
    return motion
