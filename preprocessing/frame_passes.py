"""The two passes over the frames: one to find the face, one to write images and masks and to measure landmarks."""

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
from dfa_nerfstudio.face.landmark_tracker import LandmarkTracker, fill_lost
from dfa_nerfstudio.face.topology import NUM_LANDMARKS
from dfa_nerfstudio.media.images import resized, write_image
from dfa_nerfstudio.media.prefetch import ahead
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.media.timeline import Timeline
from dfa_nerfstudio.media.video_reader import Video, to_rgb
from dfa_nerfstudio.preprocessing.camera.camera_motion import Thumbnails
from dfa_nerfstudio.preprocessing.progress_reporter import Stages
from dfa_nerfstudio.preprocessing.segmentation.person_segmenter import PersonSegmenter
from dfa_nerfstudio.preprocessing.video.crop import FaceSurvey
from dfa_nerfstudio.preprocessing.video.cropped_video import Footage
from dfa_nerfstudio.preprocessing.video.scene_cuts import Cut, CutDetector, head_jumps

LEAST_SECONDS = 2.0
"""A clip must be so long."""
LEAST_FACES = 0.5
"""Part of the frames in which the face must be found, in the training and in the held-out part."""
TRACKING_SIDE = 640
"""Landmarks are found at the source's own resolution, but at no more than this."""
KEYFRAMES = 160
"""Training frames that the head is learnt from."""


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
    keyframes: dict[int, UInt8[np.ndarray, "s s"]]
    """Training frames, evenly spaced, by their numbers; grey."""
    timeline: Timeline
    """Without the frames that are of no use because the face was lost."""


@dataclass
class Survey:
    """What a first look at the video shows."""

    frames: int
    """Their number at 25 frames/s."""
    size: tuple[int, int]
    """Width and height of a frame."""
    faces: FaceSurvey
    cuts: list[Cut]
    thumbnails: Thumbnails

    @property
    def scenes(self) -> list[range]:
        """The frames between changes of scene."""
        borders = [0, *(cut.frame for cut in self.cuts if not cut.same_scene), self.frames]
        return [range(first, stop) for first, stop in pairwise(borders)]

    def cuts_within(self, scene: range) -> list[int]:
        """The jump cuts of a scene, counted from its first frame."""
        return [cut.frame - scene.start for cut in self.cuts if cut.frame in scene and cut.frame != scene.start]


def survey(video: Video, stages: Stages) -> Survey:
    """Counts the frames, looks for cuts, and once a second for faces."""
    faces, cuts, thumbnails, count, size = FaceSurvey(), CutDetector(), Thumbnails(), 0, (0, 0)
    with stages.stage("looking for faces") as advance:
        for number, frame in enumerate(video.frames()):
            if number % round(FRAME_RATE) == 0:
                image = to_rgb(frame)
                size = image.shape[1], image.shape[0]
                faces.add(number, image)
                thumbnails.add(number, image)
            cuts.add(frame)
            count = number + 1
            advance(1)
    return Survey(count, size, faces, cuts.cuts(), thumbnails)


def tracking_side(footage: Footage) -> int:
    """Side of the pictures in which landmarks and head are looked for."""
    return min(footage.square.side, TRACKING_SIDE)


def track(
    footage: Footage,
    folder: Path,
    size: int,
    timeline: Timeline,
    tracker: LandmarkTracker,
    stages: Stages,
) -> Tracked:
    """The first pass over all frames: images, masks and landmarks. Tracking goes ahead of segmentation."""
    segmenter = PersonSegmenter()
    side = tracking_side(footage)
    train, report, cuts = timeline.num_train, stages.report, set(timeline.cuts)
    found = np.zeros(report.frames, bool)
    landmarks = np.full((report.frames, NUM_LANDMARKS, 3), np.nan, np.float32)  # half a gigabyte for an hour
    blendshapes = np.full((report.frames, tracker.num_blendshapes), np.nan, np.float32)
    total_alpha = np.zeros((size, size), np.float64)
    starts = {run.start for run in timeline.runs()}
    keyframes = {int(number): np.zeros((0, 0), np.uint8) for number in np.linspace(0, train - 1, KEYFRAMES).round()}
    (folder / "images").mkdir()
    (folder / "masks").mkdir()

    def followed() -> Iterator[UInt8[np.ndarray, "s s 3"]]:
        for number, whole in enumerate(footage.images()):
            write_image(image_path(folder, number), resized(whole, size))
            image = resized(whole, side)
            if face := tracker.find(image, after_cut=number in cuts):
                found[number], landmarks[number], blendshapes[number] = True, *face
            if number in keyframes:
                keyframes[number] = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
            yield image

    with stages.stage("face and person", report.frames) as advance:
        for number, image in enumerate(chain.from_iterable(ahead(followed()))):
            if number in starts:
                segmenter.forget()
            alpha = segmenter.alpha(image, size)
            write_image(mask_path(folder, number), alpha)
            if number < train:
                np.add(total_alpha, alpha, out=total_alpha)
            advance(1)

    jumps = head_jumps(landmarks, found)
    unusable = ~timeline.usable
    timeline = Timeline.of(len(found), train, cuts.union(jumps)).without(unusable).without_lost(found)
    # a held-out end that the moving camera has left is of no use for figures, but does no harm
    checked = (("the video", timeline.usable & found), ("its held-out end", found))
    for part, (words, shown) in zip(timeline.parts, checked, strict=False):
        if shown[part].mean() < LEAST_FACES:
            raise UserError(
                f"{footage.video.path}: the face is of use in only {shown[part].sum()} of {len(shown[part])} frames "
                f"of {words}; use a clip that shows it throughout"
            )
    left, least = timeline.learnable.sum() / FRAME_RATE, LEAST_SECONDS * train / len(found)
    if left < least:
        raise UserError(
            f"{footage.video.path}: only {left:.1f} s to learn from are left without the frames that do not show the "
            f"face or, as the camera moves, the whole crop; {least:.1f} s are needed"
        )
    if train < len(found) and not timeline.usable[train:].any():
        report.warnings.append("nothing of the held-out end is of use: figures are those of training frames")
    report.faces_interpolated = int((timeline.usable & ~found).sum())
    report.frames_with_other_faces = tracker.frames_with_others
    if report.faces_interpolated:
        report.warnings.append(f"the face was lost in {report.faces_interpolated} frames, which are interpolated")
    report.cuts = [cut / FRAME_RATE for cut in sorted(cuts.union(jumps))]
    report.left_out = [(gap.start / FRAME_RATE, gap.stop / FRAME_RATE) for gap in timeline.left_out()]
    if report.left_out:
        spans = ", ".join(f"{start:.1f} to {stop:.1f} s" for start, stop in report.left_out)
        report.warnings.append(
            f"the face, or a part of the crop, was lost for long; this trains nothing and is not scored: {spans}"
        )
    for part in timeline.parts:
        fill_lost(landmarks[part], found[part])
        fill_lost(blendshapes[part], found[part])
    return Tracked(landmarks, blendshapes, found, total_alpha / (255 * train), keyframes, timeline)
