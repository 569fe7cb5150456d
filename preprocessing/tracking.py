"""The two passes over the frames: one to find the face, one to write images and masks and to measure landmarks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8

from dfa_nerfstudio.data.dataset_folder import FRAME_RATE
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.preprocessing.crop import FaceSurvey
from dfa_nerfstudio.preprocessing.footage import Footage
from dfa_nerfstudio.preprocessing.images import image_path, mask_path, resized, torso_mask_path, write_image
from dfa_nerfstudio.preprocessing.landmarks import LandmarkTracker, interpolate_lost
from dfa_nerfstudio.preprocessing.person import PersonSegmenter
from dfa_nerfstudio.preprocessing.stages import Stages
from dfa_nerfstudio.preprocessing.timeline import Timeline
from dfa_nerfstudio.preprocessing.video import Video, to_rgb

LEAST_FACES = 0.5
"""Part of the frames in which the face must be found, in the training and in the held-out part."""
TRACKING_SIDE = 640
"""Landmarks are found at the source's own resolution, but at no more than this."""
CHUNK = 32
"""Frames that are worked on at a time; about twice as many are in memory."""


@dataclass
class Tracked:
    """What the pass over the frames leaves in memory."""

    landmarks: Float[np.ndarray, "T 478 3"]
    """In image sides, lost ones interpolated."""
    blendshapes: Float[np.ndarray, "T B"]
    """Lost ones interpolated; B = 0 where the tracker measures none."""
    found: Bool[np.ndarray, " T"]
    mean_alpha: Float[np.ndarray, "S S"]
    """Over training frames, in [0, 1]."""
    timeline: Timeline
    """Without the frames that are of no use because the face was lost."""


def survey(video: Video, stages: Stages) -> tuple[FaceSurvey, int, tuple[int, int]]:
    """Counts the frames and looks for faces once a second.

    Returns:
        the faces, the number of frames at 25 frames/s, and the frame's width and height.
    """
    faces, count, size = FaceSurvey(), 0, (0, 0)
    with stages.stage("looking for faces") as advance:
        for number, frame in enumerate(video.frames()):
            if number % round(FRAME_RATE) == 0:
                image = to_rgb(frame)
                size = image.shape[1], image.shape[0]
                faces.add(number, image)
            count = number + 1
            advance(1)
    return faces, count, size


def track(
    footage: Footage,
    folder: Path,
    size: int,
    timeline: Timeline,
    tracker: LandmarkTracker,
    stages: Stages,
) -> Tracked:
    """The one pass over all frames: images, masks and landmarks. Tracking and segmentation run side by side."""

    segmenter = PersonSegmenter()
    side = min(footage.square.side, TRACKING_SIDE)
    train, report = timeline.num_train, stages.report
    total_alpha = np.zeros((size, size), np.float64)
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    (folder / "torso_masks").mkdir()

    def follow(images: list[UInt8[np.ndarray, "S S 3"]]) -> None:
        for image in images:
            tracker.add(image)

    def segment(first: int, images: list[UInt8[np.ndarray, "S S 3"]]) -> None:
        for number, image in enumerate(images, start=first):
            alpha = segmenter.alpha(image, size)
            write_image(mask_path(folder, number), alpha)
            write_image(torso_mask_path(folder, number), alpha)
            if number < train:
                np.add(total_alpha, alpha, out=total_alpha)

    with (
        stages.stage("face and person", report.frames) as advance,
        ThreadPoolExecutor(1) as tracking,
        ThreadPoolExecutor(1) as segmenting,
    ):
        pending = []
        chunk: list[np.ndarray] = []
        for number, image in enumerate(footage.images()):
            write_image(image_path(folder, number), resized(image, size))
            chunk.append(resized(image, side))
            if len(chunk) == CHUNK or number == report.frames - 1:
                for job in pending:
                    job.result()
                advance(len(chunk))
                pending = [tracking.submit(follow, chunk), segmenting.submit(segment, number + 1 - len(chunk), chunk)]
                chunk = []
        for job in pending:
            job.result()

    found = np.array(tracker.found)
    whole, timeline = timeline, timeline.without_lost(found)
    for part, words in zip(whole.parts, ("the video", "its held-out end"), strict=False):
        if timeline.usable[part].mean() < LEAST_FACES:
            raise UserError(
                f"{footage.video.path}: the face is found in only {found[part].sum()} of {len(found[part])} frames of "
                f"{words}; use a clip that shows it throughout"
            )
    report.faces_interpolated = int((timeline.usable & ~found).sum())
    report.frames_with_other_faces = tracker.frames_with_others
    if report.faces_interpolated:
        report.warnings.append(f"the face was lost in {report.faces_interpolated} frames, which are interpolated")
    report.left_out = [(gap.start / FRAME_RATE, gap.stop / FRAME_RATE) for gap in timeline.left_out()]
    if report.left_out:
        spans = ", ".join(f"{start:.1f} to {stop:.1f} s" for start, stop in report.left_out)
        report.warnings.append(f"the face was lost for long; these parts train nothing and are not scored: {spans}")
    landmarks, blendshapes = (
        np.concatenate([interpolate_lost(seen[part], found[part]) for part in timeline.parts])
        for seen in (np.stack(tracker.landmarks).astype(np.float64), np.stack(tracker.blendshapes))
    )
    return Tracked(landmarks, blendshapes, found, total_alpha / (255 * train), timeline)
