"""The pass over the frames that tracks head and torso by image alignment, and smooths their motion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from dfa_nerfstudio.face.eye_patches import HEIGHT, WIDTH, eye_patches
from dfa_nerfstudio.face.head_pose import Poses, poses_to_vectors, project_points, vectors_to_poses
from dfa_nerfstudio.face.head_shape import to_opengl_axes
from dfa_nerfstudio.face.topology import CHIN, RIGID
from dfa_nerfstudio.media.chunks import chunk_slices
from dfa_nerfstudio.media.frame_rows import FrameRows, TemporaryFiles
from dfa_nerfstudio.media.images import resize_square
from dfa_nerfstudio.media.prefetch import prefetch
from dfa_nerfstudio.metrics.jitter import jitter
from dfa_nerfstudio.preprocessing.frame_passes import TrackedFace, tracking_size
from dfa_nerfstudio.preprocessing.head.head_model import HeadModel, HeadTracks
from dfa_nerfstudio.preprocessing.head.head_model_fit import learn_head_model
from dfa_nerfstudio.preprocessing.motion_smoothing import MotionSmoother
from dfa_nerfstudio.preprocessing.progress_reporter import ProgressReporter
from dfa_nerfstudio.preprocessing.report.process_report import ProcessReport
from dfa_nerfstudio.preprocessing.torso.torso_alignment import (
    TorsoAligner,
    TorsoTracker,
    alignment_image,
    torso_region,
)
from dfa_nerfstudio.preprocessing.torso.torso_motion import TorsoMotion, smooth_torso_motion
from dfa_nerfstudio.preprocessing.video.cropped_video import CroppedVideo

ROTATION, SHIFT = slice(0, 3), slice(3, 5)
"""Groups of head pose channels with similar acceleration. The distance, channel 5, is measured badly and gets the
acceleration of the shift."""


@dataclass
class HeadTorsoMotion:
    """Smoothed motion of head and torso."""

    head: HeadModel
    poses: Poses
    """Head poses at 0, 1/25 s, 2/25 s, ..."""
    image_poses: Poses
    """Head poses at the times of the images."""
    torso: TorsoMotion
    """Torso motion at 0, 1/25 s, 2/25 s, ..."""
    eye_patches: FrameRows
    """Small images of the eyes at the times of the images, [T, 2, h, w], in a file; see `eye_patches`."""


def track_head_and_torso(
    cropped: CroppedVideo,
    tracked_face: TrackedFace,
    files: TemporaryFiles,
    smoothing: float,
    progress: ProgressReporter,
) -> HeadTorsoMotion:
    """Learns models of head and torso from training keyframes, and tracks them through all frames.

    Args:
        cropped: the frames.
        tracked_face: results of the face tracking pass.
        files: receives what is known of each frame.
        smoothing: smoothing strength, as a multiple of the measured noise; 0 disables smoothing of the head.
        progress: progress and report.
    """
    report, timeline = progress.report, tracked_face.timeline
    valid = timeline.train_mask & tracked_face.face_found
    keyframes = {number: image for number, image in tracked_face.keyframes.items() if valid[number]}
    numbers = np.array(list(keyframes))
    with progress.stage("head model"):
        head = learn_head_model(list(keyframes.values()), tracked_face.landmarks[numbers])
    torso = _create_torso_tracker(tracked_face, keyframes, head)
    tracks: list[HeadTracks] = []
    patches = files.rows((2, HEIGHT, WIDTH), np.uint8)
    cuts = set(timeline.cuts)

    def grey_images() -> Iterator[UInt8[np.ndarray, "s s"]]:
        """Yields the frames in grey; the torso is tracked here, in the thread that reads ahead."""
        for number, image in enumerate(cropped.images()):
            grey = resize_square(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), tracking_size(cropped))
            if torso is not None:
                torso.add(alignment_image(grey), after_cut=number in cuts)
            yield grey

    with progress.stage("head and torso", len(cropped)) as advance:
        start = 0
        for images in prefetch(grey_images()):
            tracks.append(head.track(images, tracked_face.landmarks[start : start + len(images)]))
            for row in eye_patches(images, tracks[-1].poses, head.shape, head.focal):
                patches.append(row)
            start += len(images)
            advance(len(images))
        head_tracks = HeadTracks.concatenate(tracks)
        del tracks
    with progress.stage("smoothing"):
        poses, image_poses = _smooth_poses(head, head_tracks, tracked_face, smoothing, report)
        torso_motion = smooth_torso_motion(torso, timeline, tracked_face.times, head.focal, smoothing, report)
    return HeadTorsoMotion(head, poses, image_poses, torso_motion, patches)


def _smooth_poses(
    head: HeadModel, tracks: HeadTracks, tracked_face: TrackedFace, smoothing: float, report: ProcessReport
) -> tuple[Poses, Poses]:
    """Smooths the head poses segment by segment, and reports errors and jitter.

    Returns:
        the poses at 25 frames/s, and those at the times of the images.
    """
    timeline, times, rigid = tracked_face.timeline, tracked_face.times, head.shape[RIGID]
    segments = timeline.segments()
    values = times.to_frames(poses_to_vectors(tracks.poses), segments, tracked_face.face_found)
    information = tracks.information * tracked_face.face_found[:, None, None]
    smooth = values.copy()
    if smoothing > 0:
        train_segments = [segment for segment in segments if segment.stop <= timeline.num_train]
        smoother = MotionSmoother.fit(values, information, train_segments, (ROTATION, SHIFT), smoothing)
        for segment in segments:
            if np.count_nonzero(tracked_face.face_found[segment]) > 1:
                smooth[segment], _ = smoother.smooth(values[segment], information[segment])
    poses = vectors_to_poses(smooth)
    image_poses = poses if times.are_constant else vectors_to_poses(times.to_images(smooth, segments))
    chunks = chunk_slices(len(timeline))

    def reproject(poses: Poses) -> Float32[np.ndarray, "T R 2"]:
        parts = [project_points(poses[chunk].to_camera(rigid), head.focal) for chunk in chunks]
        return np.concatenate([part.astype(np.float32) for part in parts])

    def pixel_jitter(poses: Poses) -> float:
        return report.image_size * jitter(reproject(poses), segments)

    report.focal_length, report.eye_distance = head.focal, head.scale * report.image_size
    report.landmark_jitter, report.jitter_before_smoothing = pixel_jitter(tracks.initial), pixel_jitter(tracks.poses)
    report.jitter = pixel_jitter(poses)
    report.patch_error = float(np.nanmedian(tracks.error[timeline.valid])) * report.image_size
    observed = tracked_face.landmarks.map(lambda chunk: to_opengl_axes(chunk[:, RIGID])[..., :2].astype(np.float32))
    errors = np.linalg.norm(observed - reproject(image_poses), axis=-1) * report.image_size
    report.reprojection_error = float(errors[timeline.train_mask].mean())
    if (held_out := timeline.valid & ~timeline.train_mask).any():
        report.reprojection_error_held_out = float(errors[held_out].mean())
    return poses, image_poses


def _create_torso_tracker(
    tracked_face: TrackedFace, keyframes: dict[int, UInt8[np.ndarray, "s s"]], head: HeadModel
) -> TorsoTracker | None:
    """Creates a tracker whose reference is the keyframe with the head nearest to its median position.

    Returns None if the frames show hardly any torso.
    """
    chin = tracked_face.landmarks.map(lambda chunk: chunk[:, CHIN, 1])[tracked_face.timeline.train_mask]
    region = torso_region(tracked_face.mean_alpha, float(np.percentile(chin, 99)))
    if region is None:
        return None
    numbers, images = list(keyframes), list(keyframes.values())
    positions = head.track(images, tracked_face.landmarks[np.array(numbers)]).poses.translation
    reference = int(np.linalg.norm(positions - np.median(positions, axis=0), axis=-1).argmin())
    return TorsoTracker(TorsoAligner(alignment_image(images[reference]), region))
