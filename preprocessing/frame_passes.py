"""The passes over the frames: one scans the video for faces and cuts, one writes images and masks and tracks the face.

A third pass, `head_torso_tracking`, refines the head pose.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from dfa_nerfstudio.data.dataset_folder import image_path, mask_path
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.face.landmark_tracker import LandmarkTracker, interpolate_lost
from dfa_nerfstudio.face.topology import NUM_MESH_LANDMARKS
from dfa_nerfstudio.media.frame_rows import FrameRows, TemporaryFiles
from dfa_nerfstudio.media.frame_times import FrameTimes
from dfa_nerfstudio.media.images import resize_square, write_image
from dfa_nerfstudio.media.prefetch import prefetch
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.media.timeline import Timeline, format_spans, true_spans
from dfa_nerfstudio.media.video_reader import Video, to_rgb
from dfa_nerfstudio.preprocessing.camera.camera_motion import Thumbnails
from dfa_nerfstudio.preprocessing.process_config import MIN_CLIP_SECONDS
from dfa_nerfstudio.preprocessing.progress_reporter import ProgressReporter
from dfa_nerfstudio.preprocessing.report.process_report import ProcessReport
from dfa_nerfstudio.preprocessing.segmentation.occlusion import FacePatches
from dfa_nerfstudio.preprocessing.segmentation.person_segmenter import PersonSegmenter
from dfa_nerfstudio.preprocessing.video.crop import FaceDetections
from dfa_nerfstudio.preprocessing.video.cropped_video import CroppedVideo
from dfa_nerfstudio.preprocessing.video.scene_cuts import Cut, CutDetector, find_head_jumps

MIN_FACE_FRACTION = 0.5
"""Minimum fraction of frames with a detected face, in the training part and in the held-out part."""
MAX_TRACKING_SIZE = 640
"""Maximum side of the images in which landmarks are tracked, pixels; a smaller source is not enlarged."""
NUM_KEYFRAMES = 160
"""Number of training frames that the head model is learnt from."""


@dataclass
class TrackedFace:
    """Results of the face tracking pass over T frames."""

    landmarks: FrameRows
    """Landmarks in image sides, [T, 478, 3], in a file; interpolated where the face was lost."""
    blendshapes: Float[np.ndarray, "T B"]
    """Blendshape scores, interpolated where the face was lost; B = 0 if the tracker has none."""
    face_found: Bool[np.ndarray, " T"]
    """Frames with a detected face."""
    mean_alpha: Float[np.ndarray, "S S"]
    """Mean person mask over the training frames, in [0, 1]."""
    keyframes: dict[int, UInt8[np.ndarray, "s s"]]
    """Evenly spaced training frames, grey, by frame number."""
    timeline: Timeline
    """Timeline without the frames in which the face was lost for long."""
    times: FrameTimes
    """Presentation times of the images."""


@dataclass
class VideoScan:
    """Results of the scan of a whole video."""

    num_frames: int
    """Number of frames at 25 frames/s."""
    frame_size: tuple[int, int]
    """Width and height of a frame, pixels."""
    faces: FaceDetections
    """Faces in one frame per second."""
    cuts: list[Cut]
    """Jump cuts and changes of scene."""
    thumbnails: Thumbnails
    """Thumbnails of one frame per second."""
    pauses: list[range]
    """Frames that the file lacks, see `Video.pauses`."""
    frame_times: list[float]
    """Presentation time of each frame in seconds, see `Video.frame_times`."""

    @property
    def scenes(self) -> list[range]:
        """Frame numbers of each scene."""
        borders = [0, *(cut.frame for cut in self.cuts if not cut.same_scene), self.num_frames]
        return [range(first, stop) for first, stop in pairwise(borders)]

    def part_with_face(self, scene: range) -> range:
        """Returns the scene from the first to the last sampled frame with a face, if a second or more is without."""
        seen = [number for number, boxes in zip(self.faces.numbers, self.faces.boxes, strict=True) if len(boxes)]
        seen = [number for number in seen if number in scene]
        if not seen:
            return scene
        second = round(FRAME_RATE)
        start = seen[0] if seen[0] - scene.start >= second else scene.start
        return range(start, seen[-1] + 1 if scene.stop - seen[-1] > second else scene.stop)

    def missing_frames(self, scene: range) -> Bool[np.ndarray, " T"]:
        """Returns which frames of a scene repeat another one, because the file has none at their time."""
        missing = np.zeros(len(scene), bool)
        for pause in self.pauses:
            missing[max(pause.start - scene.start, 0) : max(pause.stop - scene.start, 0)] = True
        return missing

    def times_within(self, scene: range) -> FrameTimes:
        """Returns the presentation times of the images of a scene, relative to its first frame."""
        return FrameTimes(np.array(self.frame_times[scene.start : scene.stop]) * FRAME_RATE - scene.start)

    def cuts_within(self, scene: range) -> list[int]:
        """Returns the jump cuts of a scene, as frame numbers relative to its first frame."""
        return [cut.frame - scene.start for cut in self.cuts if cut.frame in scene and cut.frame != scene.start]


def scan_video(video: Video, files: TemporaryFiles, progress: ProgressReporter) -> VideoScan:
    """Counts the frames, detects cuts, and detects faces in one frame per second.

    Args:
        video: the video.
        files: receives the thumbnails.
        progress: progress.
    """
    faces, cuts, thumbnails, num_frames, size = FaceDetections(), CutDetector(), Thumbnails(files.create()), 0, (0, 0)
    with progress.stage("scanning") as advance:
        for number, frame in enumerate(video.frames()):
            if number % round(FRAME_RATE) == 0:
                image = to_rgb(frame)
                size = image.shape[1], image.shape[0]
                faces.add(number, image)
                thumbnails.add(number, image)
            cuts.add(frame)
            num_frames = number + 1
            advance(1)
    return VideoScan(num_frames, size, faces, cuts.cuts(), thumbnails, video.pauses, video.frame_times)


def tracking_size(cropped: CroppedVideo) -> int:
    """Returns the side of the images in which landmarks and head are tracked, pixels."""
    return min(cropped.crop.side, MAX_TRACKING_SIZE)


def track_face(
    cropped: CroppedVideo,
    folder: Path,
    size: int,
    timeline: Timeline,
    missing: Bool[np.ndarray, " T"],
    times: FrameTimes,
    tracker: LandmarkTracker,
    files: TemporaryFiles,
    progress: ProgressReporter,
) -> TrackedFace:
    """Tracks the landmarks in all frames, and writes the frames and their person masks into the dataset folder.

    Tracking runs in a thread of its own, ahead of segmentation.

    Args:
        cropped: the frames.
        folder: dataset folder.
        size: side of the written images and masks, pixels.
        timeline: jump cuts, and frames that are excluded already.
        missing: frames that the file lacks, which are among the excluded ones.
        times: presentation times of the images.
        tracker: landmark tracker, at its first frame.
        files: receives what is known of each frame.
        progress: progress and report.

    Raises:
        UserError: if the face is detected in too few frames.
    """
    segmenter, patches = PersonSegmenter(), FacePatches(progress.report.num_frames, files)
    side = tracking_size(cropped)
    num_train, report, cuts = timeline.num_train, progress.report, set(timeline.cuts)
    face_found = np.zeros(report.num_frames, bool)
    landmarks = files.rows((NUM_MESH_LANDMARKS, 3), np.float32)  # 0.5 GB per hour
    blendshapes = np.full((report.num_frames, tracker.num_blendshapes), np.nan, np.float32)
    total_alpha = np.zeros((size, size), np.float64)
    starts = {run.start for run in timeline.runs()}
    keyframe_numbers = np.linspace(0, num_train - 1, NUM_KEYFRAMES).round()
    keyframes = {int(number): np.zeros((0, 0), np.uint8) for number in keyframe_numbers}
    (folder / "images").mkdir()
    (folder / "masks").mkdir()

    def tracked_images() -> Iterator[UInt8[np.ndarray, "s s 3"]]:
        for number, full_image in enumerate(cropped.images()):
            write_image(image_path(folder, number), resize_square(full_image, size))
            image = resize_square(full_image, side)
            face = tracker.track(image, after_cut=number in cuts)
            landmarks.append(np.full(1, np.nan) if face is None else face.landmarks)
            if face is not None:
                face_found[number], blendshapes[number] = True, face.blendshapes
            patches.add(image, None if face is None else face.landmarks)
            if number in keyframes:
                keyframes[number] = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
            yield image

    with progress.stage("face and person", report.num_frames) as advance:
        for number, image in enumerate(chain.from_iterable(prefetch(tracked_images()))):
            if number in starts:
                segmenter.reset()
            alpha = segmenter.segment(image, size)
            write_image(mask_path(folder, number), alpha)
            if number < num_train:
                np.add(total_alpha, alpha, out=total_alpha)
            advance(1)

    cuts.update(find_head_jumps(landmarks, face_found))
    mouth_covered, eyes_covered = (covered & timeline.valid for covered in patches.covered(timeline.train_mask))
    covered = mouth_covered | eyes_covered
    excluded = ~timeline.valid | covered
    timeline = Timeline.from_cuts(len(face_found), num_train, cuts).exclude(excluded).exclude_lost(face_found)
    _check_face_found(cropped.video, timeline, face_found, missing)
    report.missing_spans = true_spans(missing)
    report.covered_mouth_spans, report.covered_eyes_spans = true_spans(mouth_covered), true_spans(eyes_covered)
    report.excluded_spans = true_spans(~timeline.valid & ~missing & ~covered)
    _report_face(timeline, face_found, sorted(cuts), tracker, report)
    for part in timeline.splits:
        interpolate_lost(landmarks, face_found, part)
        interpolate_lost(blendshapes, face_found, part)
    return TrackedFace(landmarks, blendshapes, face_found, total_alpha / (255 * num_train), keyframes, timeline, times)


def _check_face_found(
    video: Video, timeline: Timeline, face_found: Bool[np.ndarray, " T"], missing: Bool[np.ndarray, " T"]
) -> None:
    """Raises a `UserError` if too few frames show the face."""
    # held-out frames that the moving camera excludes count as shown: a clip without valid held-out frames is accepted
    shown_in = (("the video", timeline.valid & face_found), ("its held-out end", face_found))
    for part, (name, shown) in zip(timeline.splits, shown_in, strict=False):
        num_frames = int((~missing[part]).sum())
        if shown[part].sum() < MIN_FACE_FRACTION * num_frames:
            raise UserError(
                f"{video.path}: the face is visible in only {shown[part].sum()} of {num_frames} frames of "
                f"{name}; use a clip that shows it throughout"
            )
    seconds = timeline.train_mask.sum() / FRAME_RATE
    min_seconds = MIN_CLIP_SECONDS * timeline.num_train / len(face_found)
    if seconds < min_seconds:
        raise UserError(
            f"{video.path}: only {seconds:.1f} s of training frames show the face and, if the camera moves, the whole "
            f"crop; {min_seconds:.1f} s are needed"
        )


def _report_face(
    timeline: Timeline,
    face_found: Bool[np.ndarray, " T"],
    cuts: list[int],
    tracker: LandmarkTracker,
    report: ProcessReport,
) -> None:
    if timeline.num_train < len(face_found) and not timeline.valid[timeline.num_train :].any():
        report.warnings.append("no held-out frame is valid: evaluation uses training frames")
    report.faces_interpolated = int((timeline.valid & ~face_found).sum())
    report.frames_with_other_faces = tracker.num_frames_with_others
    if report.faces_interpolated:
        report.warnings.append(f"the face was lost in {report.faces_interpolated} frames, which are interpolated")
    report.cut_times = [cut / FRAME_RATE for cut in cuts]
    for spans, reason in (
        (report.missing_spans, "the file has no frames there"),
        (report.excluded_spans, "the face, or a part of the crop, was lost for long"),
        (report.covered_mouth_spans, "something covers the mouth"),
        (report.covered_eyes_spans, "something covers an eye or both"),
    ):
        if spans:
            report.warnings.append(f"{format_spans(spans)} are excluded from training and evaluation: {reason}")
