"""The second pass over all frames: head and torso are followed by what they look like, and their motion is smoothed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from dfa_nerfstudio.face.head_pose import Poses, as_vectors, from_vectors, project
from dfa_nerfstudio.face.head_shape import upright
from dfa_nerfstudio.face.topology import CHIN, RIGID
from dfa_nerfstudio.media.images import resized
from dfa_nerfstudio.media.prefetch import ahead
from dfa_nerfstudio.metrics.jitter import jitter
from dfa_nerfstudio.preprocessing.frame_chunks import blocks
from dfa_nerfstudio.preprocessing.frame_passes import Tracked, tracking_side
from dfa_nerfstudio.preprocessing.head.head_model import HeadModel, Tracks
from dfa_nerfstudio.preprocessing.head.head_model_fit import learn_head
from dfa_nerfstudio.preprocessing.motion_smoothing import MotionSmoother
from dfa_nerfstudio.preprocessing.progress_reporter import Stages
from dfa_nerfstudio.preprocessing.report.process_report import Report
from dfa_nerfstudio.preprocessing.torso.torso_alignment import (
    TorsoAligner,
    TorsoTracker,
    torso_region,
    tracking_image,
)
from dfa_nerfstudio.preprocessing.torso.torso_motion import TorsoMotion, smoothed_torso
from dfa_nerfstudio.preprocessing.video.cropped_video import Footage

ROTATION, SHIFT = slice(0, 3), slice(3, 5)
"""Channels of a head pose whose accelerations are alike; how the distance changes is measured badly, and taken to
change as the place in the picture does."""


@dataclass
class Motion:
    """How head and torso move, smoothed."""

    head: HeadModel
    poses: Poses
    torso: TorsoMotion


def follow(footage: Footage, tracked: Tracked, smoothing: float, stages: Stages) -> Motion:
    """Learns head and torso from keyframes of the training part and follows them through all frames.

    Args:
        footage: the frames.
        tracked: what the first pass found.
        smoothing: how many times stronger than what the noise asks for; 0 for none.
        stages: progress and report.
    """
    report, timeline = stages.report, tracked.timeline
    usable = timeline.learnable & tracked.found
    keyframes = {number: image for number, image in tracked.keyframes.items() if usable[number]}
    numbers = np.array(list(keyframes))
    with stages.stage("learning the head"):
        head = learn_head(list(keyframes.values()), tracked.landmarks[numbers])
    torso = _torso_tracker(tracked, keyframes, head)
    tracks: list[Tracks] = []

    cuts = set(timeline.cuts)

    def with_torso_followed() -> Iterator[UInt8[np.ndarray, "s s"]]:
        for number, image in enumerate(footage.images()):
            grey = resized(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), tracking_side(footage))
            if torso is not None:
                torso.add(tracking_image(grey), after_cut=number in cuts)
            yield grey

    with stages.stage("head and torso", len(footage)) as advance:
        done = 0
        for images in ahead(with_torso_followed()):
            tracks.append(head.follow(images, tracked.landmarks[done : done + len(images)]))
            done += len(images)
            advance(len(images))
        joined = Tracks.join(tracks)
        del tracks
    with stages.stage("smoothing"):
        poses = _smoothed_poses(head, joined, tracked, smoothing, report)
        motion = smoothed_torso(torso, timeline, head.focal, smoothing, report)
    return Motion(head, poses, motion)


def _smoothed_poses(head: HeadModel, tracks: Tracks, tracked: Tracked, smoothing: float, report: Report) -> Poses:
    """Each stretch is smoothed for itself."""
    timeline, rigid = tracked.timeline, head.shape[RIGID]
    values = as_vectors(tracks.poses)
    information = tracks.information * tracked.found[:, None, None]
    smooth = values.copy()
    if smoothing > 0:
        learnt_from = [run for run in timeline.stretches() if run.stop <= timeline.num_train]
        smoother = MotionSmoother.learn(values, information, learnt_from, (ROTATION, SHIFT), smoothing)
        for run in timeline.stretches():
            if np.count_nonzero(tracked.found[run]) > 1:
                smooth[run], _ = smoother.smooth(values[run], information[run])
    poses = from_vectors(smooth)

    def places(poses: Poses) -> Float32[np.ndarray, "T R 2"]:
        parts = [project(poses[block].to_camera(rigid), head.focal) for block in blocks(len(timeline))]
        return np.concatenate([part.astype(np.float32) for part in parts])

    def shaking(poses: Poses) -> float:
        return report.size * jitter(places(poses), timeline.stretches())

    report.focal_length, report.eye_distance = head.focal, head.scale * report.size
    report.jitter_of_landmarks, report.jitter_before_smoothing = shaking(tracks.start), shaking(tracks.poses)
    report.jitter = shaking(poses)
    report.patch_error = float(np.nanmedian(tracks.error[timeline.usable])) * report.size
    seen = [upright(tracked.landmarks[block][:, RIGID])[..., :2].astype(np.float32) for block in blocks(len(timeline))]
    errors = np.linalg.norm(np.concatenate(seen) - places(poses), axis=-1) * report.size
    report.reprojection_error = float(errors[timeline.learnable].mean())
    if (held_out := timeline.usable & ~timeline.learnable).any():
        report.reprojection_error_held_out = float(errors[held_out].mean())
    return poses


def _torso_tracker(
    tracked: Tracked, keyframes: dict[int, UInt8[np.ndarray, "s s"]], head: HeadModel
) -> TorsoTracker | None:
    """Compares with the keyframe in which the head is nearest to its usual place; none where hardly any torso is in the
    picture."""
    chin = tracked.landmarks[tracked.timeline.learnable, CHIN, 1]
    region = torso_region(tracked.mean_alpha, float(np.percentile(chin, 99)))
    if region is None:
        return None
    numbers, images = list(keyframes), list(keyframes.values())
    places = head.follow(images, tracked.landmarks[numbers]).poses.translation
    reference = int(np.linalg.norm(places - np.median(places, axis=0), axis=-1).argmin())
    return TorsoTracker(TorsoAligner(tracking_image(images[reference]), region))
