"""Detects and removes the motion of the camera, or of a crop that follows the head or is reframed at a cut.

Every frame is aligned with one training frame, the *reference*, and never with its neighbour, so that errors do not
accumulate. After warping, all frames show the reference's background at the same position, and the crop is placed where
(nearly) all of them have content.

Most clips are static, and many others change only at cuts. Therefore each shot is first compared to its own first
sample, at one frame per second. A static shot has one motion for all its frames. Only a moving shot is tracked frame by
frame.
"""

from __future__ import annotations

import os
from itertools import islice, pairwise
from typing import IO, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.timeline import MAX_GAP, Timeline
from dfa_nerfstudio.media.video_reader import Video, to_rgb
from dfa_nerfstudio.preprocessing.camera.background_alignment import (
    ALIGNED_SIDE,
    IDENTITY,
    BackgroundAligner,
    BackgroundAlignment,
    texture_image,
    to_matrices,
    to_parameters,
)
from dfa_nerfstudio.preprocessing.camera.total_variation import smooth_total_variation
from dfa_nerfstudio.preprocessing.progress_reporter import ProgressReporter
from dfa_nerfstudio.preprocessing.segmentation.background_estimation import MAX_BACKGROUND_ALPHA
from dfa_nerfstudio.preprocessing.segmentation.person_segmenter import NETWORK_SIZE, PersonSegmenter
from dfa_nerfstudio.preprocessing.video.crop import SquareCrop

PERSON_MARGIN = 1 / 20
"""Distance from the person at which the background begins, relative to the image's longer side."""
STATIC_INLIERS = 0.65
"""Minimum inlier ratio without motion of a static frame; screens and passers-by are the rest."""
MAX_MOVING_SAMPLES = 0.03
"""Maximum fraction of a static shot's samples that may appear moving."""
MIN_INLIERS = 0.4
"""Inlier ratio below which a frame's background is lost."""
MIN_INLIER_GAIN = 0.1
"""Minimum gain in inlier ratio of a significant motion, compared to no motion."""
MIN_SHIFT = 0.75
"""Minimum shift of a significant motion, in pixels of the aligned image."""
MIN_MOVED_FRAMES = 0.05
"""Minimum fraction of frames with significant motion in a moving shot."""
MAX_LOST = 0.2
"""Maximum fraction of training frames whose background may be lost."""
NEGLIGIBLE_SHIFT = 1 / 100
"""Shift, relative to the image's longer side, below which a camera that cannot be tracked is taken as static."""
CORRELATED_PIXELS, MOTION_PENALTY = 400.0, 6.0
"""Number of pixels that share one error, and the cost of a motion by one pixel relative to these errors. A static
camera shall remain exactly static, whatever compression does to a faint background."""
MIN_COVERAGE = 0.98
"""Minimum fraction of training frames that must show each pixel of the crop."""
MIN_CROP_RATIO = 1.4
"""Minimum side of the crop, in heights of the face's box (brows to chin)."""


class Thumbnails:
    """Small JPEG-compressed copies of sampled frames in a file: one hour at one frame per second takes about 60 MB."""

    def __init__(self, file: IO[bytes]) -> None:
        """
        Args:
            file: empty, open for writing and reading.
        """
        self._file = file
        self._places: dict[int, tuple[int, int]] = {}
        """Start and size of each copy in the file, by frame number."""

    def add(self, number: int, image: UInt8[np.ndarray, "H W 3"]) -> None:
        """Stores a copy of frame `number`."""
        scale = min(1.0, ALIGNED_SIDE / max(image.shape))
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        encoded = cv2.imencode(".jpg", small, (cv2.IMWRITE_JPEG_QUALITY, 92))[1].tobytes()
        self._places[number] = self._file.seek(0, os.SEEK_END), len(encoded)
        self._file.write(encoded)

    def __contains__(self, number: int) -> bool:
        return number in self._places

    def __getitem__(self, number: int) -> UInt8[np.ndarray, "h w 3"]:
        start, size = self._places[number]
        self._file.seek(start)
        return cv2.imdecode(np.frombuffer(self._file.read(size), np.uint8), cv2.IMREAD_COLOR)


class CameraMotion(NamedTuple):
    """Motion of the background of T frames relative to the reference frame."""

    matrices: Float[np.ndarray, "T 2 3"]
    """Maps points of the reference to the frame, in pixels of the source, x right, y down; the origin is the centre of
    the first pixel."""
    tracked: Bool[np.ndarray, " T"]
    """False where the background was lost."""

    def warp(self, number: int, image: UInt8[np.ndarray, "H W 3"], crop: SquareCrop) -> UInt8[np.ndarray, "S S 3"]:
        """Returns the part of frame `number` that the reference shows in `crop`."""
        matrix = self.matrices[number]
        if np.array_equal(matrix, IDENTITY):
            return crop.apply(image)
        matrix = np.column_stack([matrix[:, :2], matrix[:, 2] + matrix[:, :2] @ [crop.left, crop.top]])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(image, matrix, (crop.side,) * 2, flags=flags, borderMode=cv2.BORDER_REPLICATE)

    def boxes_in_reference(self, number: int, boxes: Float[np.ndarray, "F 4"]) -> Float[np.ndarray, "F 4"]:
        """Maps boxes (centre x, centre y, width, height) of frame `number` to the reference."""
        inverse = cv2.invertAffineTransform(self.matrices[number])
        scale = np.sqrt(np.linalg.det(inverse[:, :2]))
        return np.concatenate([boxes[:, :2] @ inverse[:, :2].T + inverse[:, 2], boxes[:, 2:] * scale], axis=1)

    def max_shift(self, width: int, height: int) -> float:
        """Returns the largest displacement of the image's centre, corners and edge centres, in pixels."""
        points = np.array([(x, y) for x in (0, width / 2, width) for y in (0, height / 2, height)])
        matrices = self.matrices[self.tracked]
        moved = points @ matrices[:, :, :2].transpose(0, 2, 1) + matrices[:, None, :, 2]
        return float(np.linalg.norm(moved - points, axis=-1).max(initial=0))

    def frames_showing(self, crop: SquareCrop, width: int, height: int) -> Bool[np.ndarray, " T"]:
        """Returns which frames show the whole crop."""
        left, top, side = crop
        corners = np.array([(x, y) for x in (left, left + side - 1) for y in (top, top + side - 1)], float)
        points = corners @ self.matrices[:, :, :2].transpose(0, 2, 1) + self.matrices[:, None, :, 2]  # [T 4 2]
        inside = (points >= -1) & (points <= (width, height))  # one pixel of border replication is not visible
        return self.tracked & inside.all((1, 2))

    def common_crop(self, wanted: SquareCrop, width: int, height: int, num_train: int) -> SquareCrop:
        """Returns the crop nearest to `wanted`, and not larger, that (nearly) all training frames show."""
        scale = 256 / max(width, height)
        size = round(width * scale), round(height * scale)
        coverage = np.zeros(size[::-1], np.int32)
        frames = np.flatnonzero(self.tracked[:num_train])
        full = np.full((size[1], size[0]), 1, np.uint8)
        for number in frames:
            matrix = self.matrices[number].copy()
            matrix[:, 2] *= scale
            coverage += cv2.warpAffine(full, matrix, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
        covered = np.pad(coverage >= MIN_COVERAGE * len(frames), 1).astype(np.uint8)
        distance = cv2.distanceTransform(covered, cv2.DIST_C, 3)[1:-1, 1:-1]
        max_side = (2 * distance - 3) / scale  # of a crop centred at each pixel; the pixel may be wrong by one
        side = int(min(wanted.side, max_side.max()))
        rows, columns = np.nonzero(max_side >= side)
        x, y = (columns + 0.5) / scale, (rows + 0.5) / scale
        centre = np.array([wanted.left, wanted.top]) + wanted.side / 2
        nearest = np.hypot(x - centre[0], y - centre[1]).argmin()
        left, top = round(float(x[nearest]) - side / 2), round(float(y[nearest]) - side / 2)
        return SquareCrop(max(0, left), max(0, top), side)


class _Shot(NamedTuple):
    frames: Int[np.ndarray, " F"]
    samples: list[int]
    """Training frames of the shot that have a thumbnail."""
    aligner: BackgroundAligner | None
    """Aligner whose reference is the first sample; None without samples."""
    static: bool
    """Whether the samples show no motion relative to the first one."""


def estimate_camera_motion(
    video: Video,
    scene: range,
    frame_size: tuple[int, int],
    thumbnails: Thumbnails,
    timeline: Timeline,
    progress: ProgressReporter,
) -> CameraMotion | None:
    """Estimates the camera's motion; returns None for a static camera, or a background without texture.

    Args:
        video: the video.
        scene: frame numbers of the clip in the video.
        frame_size: width and height of the frames.
        thumbnails: sampled frames of the video.
        timeline: timeline of the clip. Training frames alone determine the reference and whether the camera moves.
        progress: progress.

    Raises:
        UserError: if the camera moves and its motion cannot be estimated.
    """
    segmenter = PersonSegmenter()

    def sample(number: int) -> Float32[np.ndarray, "h w"]:
        return texture_image(thumbnails[scene[number]])

    def create_shot(frames: Int[np.ndarray, " F"]) -> _Shot:
        train_frames = frames[frames < timeline.num_train].tolist()
        samples = [number for number in train_frames if scene[number] in thumbnails]
        if not samples:
            return _Shot(frames, samples, None, True)
        first = samples[0]
        segmenter.reset()
        aligner = BackgroundAligner(sample(first), _background_mask(thumbnails[scene[first]], segmenter))
        inliers = np.array([aligner.static_inlier_ratio(sample(number)) for number in samples])
        static = not aligner.textured or (inliers < STATIC_INLIERS).mean() <= MAX_MOVING_SAMPLES
        return _Shot(frames, samples, aligner, static)

    shots = [create_shot(np.flatnonzero(timeline.shot == number)) for number in np.unique(timeline.shot)]
    textured = [shot for shot in shots if shot.aligner and shot.aligner.textured]
    if not textured:
        return None
    reference = max(textured, key=lambda shot: (shot.static, len(shot.samples)))
    aligner = reference.aligner
    assert aligner is not None
    matrices, tracked = np.repeat(IDENTITY[None], len(timeline), 0), np.ones(len(timeline), bool)
    shifts: list[float] = []

    def track_shots(moving: list[_Shot]) -> None:
        alignments = _track(video, scene, np.concatenate([shot.frames for shot in moving]), aligner, progress)
        for shot in moving:
            train = [alignments[number] for number in shot.frames if number < timeline.num_train]
            if _is_moving(train or [alignments[number] for number in shot.frames]):
                shifts.extend(alignment.shift for alignment in train if _is_significant(alignment))
                for run in timeline.runs():
                    frames = shot.frames[(shot.frames >= run.start) & (shot.frames < run.stop)]
                    if len(frames):
                        matrices[frames], tracked[frames] = _smooth([alignments[number] for number in frames], aligner)

    moving = [shot for shot in shots if not shot.static]
    if moving:
        track_shots(moving)
    for shot in shots:
        if shot is not reference and shot.static and shot.samples:
            first, last = shot.frames[[0, -1]]
            starts = [IDENTITY, matrices[max(first - 1, 0)], matrices[min(last + 1, len(matrices) - 1)]]
            alignments = [_best_alignment(aligner, sample(number), starts) for number in shot.samples]
            matrices[shot.frames] = _common_motion(alignments)
    if not (matrices != IDENTITY).any():
        return None
    not_sampled = [shot for shot in shots if not shot.samples]
    if not_sampled:
        track_shots(not_sampled)
    lost = 1 - tracked[: timeline.num_train].mean()
    if lost > MAX_LOST and np.percentile(shifts, 90) < NEGLIGIBLE_SHIFT * ALIGNED_SIDE:
        return None
    if lost > MAX_LOST:
        raise UserError(
            f"{video.path}: the camera moves, and the background cannot be tracked in {100 * lost:.0f} % of the "
            "frames; record with a static camera, or disable stabilization with `camera=static`"
        )
    return CameraMotion(_to_source_pixels(matrices, max(frame_size)), tracked)


def _background_mask(thumbnail: UInt8[np.ndarray, "h w 3"], segmenter: PersonSegmenter) -> Bool[np.ndarray, "H W"]:
    """Returns the pixels of a thumbnail that surely do not show the person, at the size of `texture_image`."""
    scale = ALIGNED_SIDE / max(thumbnail.shape)
    size = round(thumbnail.shape[1] * scale), round(thumbnail.shape[0] * scale)
    square = cv2.resize(thumbnail, (NETWORK_SIZE,) * 2, interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(segmenter.segment(square, NETWORK_SIZE), size, interpolation=cv2.INTER_LINEAR)
    margin = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(PERSON_MARGIN * ALIGNED_SIDE) + 1,) * 2)
    return cv2.dilate(alpha, margin) < MAX_BACKGROUND_ALPHA


def _is_significant(alignment: BackgroundAlignment) -> bool:
    """Returns whether the camera moved, as opposed to something behind the person."""
    gain = alignment.inlier_ratio - alignment.static_inlier_ratio
    return alignment.inlier_ratio >= MIN_INLIERS and gain > MIN_INLIER_GAIN and alignment.shift > MIN_SHIFT


def _is_moving(alignments: list[BackgroundAlignment]) -> bool:
    significant = [_is_significant(alignment) for alignment in alignments]
    return bool(significant) and float(np.mean(significant)) >= MIN_MOVED_FRAMES


def _best_alignment(
    aligner: BackgroundAligner, image: Float32[np.ndarray, "h w"], starts: list[Float[np.ndarray, "2 3"]]
) -> BackgroundAlignment:
    """Aligns from several initial motions, and returns the alignment with the highest inlier ratio."""
    distinct = {start.tobytes(): start for start in starts}.values()
    return max((aligner.fit_motion(image, start) for start in distinct), key=lambda alignment: alignment.inlier_ratio)


def _common_motion(alignments: list[BackgroundAlignment]) -> Float[np.ndarray, "2 3"]:
    """Returns the median motion of a static shot; the identity if most of its samples show no significant motion."""
    matrices = [alignment.matrix for alignment in alignments if _is_significant(alignment)]
    return np.median(matrices, axis=0) if len(matrices) > len(alignments) / 2 else IDENTITY


def _track(
    video: Video, scene: range, numbers: Int[np.ndarray, " N"], aligner: BackgroundAligner, progress: ProgressReporter
) -> dict[int, BackgroundAlignment]:
    """Aligns the given frames, each starting from the motion of the previous one."""
    wanted, alignments, last = set(numbers.tolist()), {}, None
    with progress.stage("camera", len(scene)) as advance:
        for number, frame in enumerate(islice(video.frames(), scene.start, scene.stop)):
            if number in wanted:
                image = texture_image(to_rgb(frame))
                current = aligner.fit_motion(image, last.matrix, num_levels=1) if last else None
                if (
                    last is None
                    or current is None
                    or current.inlier_ratio < max(MIN_INLIERS, last.inlier_ratio - MIN_INLIER_GAIN)
                ):
                    current = _best_alignment(aligner, image, [IDENTITY, last.matrix] if last else [IDENTITY])
                if current.inlier_ratio >= MIN_INLIERS:
                    last = current
                alignments[number] = current
            advance(1)
    return alignments


def _smooth(
    alignments: list[BackgroundAlignment], aligner: BackgroundAligner
) -> tuple[Float[np.ndarray, "F 2 3"], Bool[np.ndarray, " F"]]:
    """Returns the smoothed matrices of consecutive frames, and which of them are valid.

    Short losses of the background are interpolated; longer ones are invalid.
    """
    valid = np.array([alignment.inlier_ratio >= MIN_INLIERS for alignment in alignments])
    values = to_parameters(np.stack([alignment.matrix for alignment in alignments]), aligner.shape)
    information = np.stack([alignment.information for alignment in alignments]) / CORRELATED_PIXELS
    information[~valid] = 0
    matrices = to_matrices(smooth_total_variation(values, information, MOTION_PENALTY), aligner.shape)
    measured = np.flatnonzero(valid)
    for before, after in pairwise([-1, *measured.tolist(), len(valid)]):
        valid[before + 1 : after] = after - before - 1 <= MAX_GAP and before >= 0 and after < len(valid)
    return matrices, valid


def _to_source_pixels(matrices: Float[np.ndarray, "T 2 3"], longer_side: int) -> Float[np.ndarray, "T 2 3"]:
    """Converts matrices from pixels of the aligned images to pixels of the source, whose origin is a pixel centre."""
    linear = matrices[:, :, :2]
    shift = matrices[:, :, 2] * longer_side / ALIGNED_SIDE + linear.sum(-1) / 2 - 0.5
    return np.concatenate([linear, shift[..., None]], axis=2)
