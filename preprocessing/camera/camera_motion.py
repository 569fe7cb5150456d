"""A moving camera, or a crop that follows the head or is reframed at a cut: recognised by the background, taken back.

Every frame is aligned with one training frame, the *reference*, and never with its neighbour, so that no error adds up.
Warped by what is found, all frames show the reference's background at the same place, and the square is cut from what
(nearly) all of them show.

Most clips are still, and many that are not only jump at cuts. So each shot is first held against its own first look,
at one frame a second: a shot that stands still in itself has one motion for all its frames. Only a shot that does not
is followed frame by frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.timeline import LONGEST_GAP, Timeline
from dfa_nerfstudio.media.video_reader import Video, to_rgb
from dfa_nerfstudio.preprocessing.camera.background_alignment import (
    IDENTITY,
    SIDE,
    BackgroundAligner,
    Motion,
    texture_picture,
    to_matrices,
    to_parameters,
)
from dfa_nerfstudio.preprocessing.camera.total_variation import smoothed_at_rest
from dfa_nerfstudio.preprocessing.progress_reporter import Stages
from dfa_nerfstudio.preprocessing.segmentation.background_estimation import SURELY_FREE
from dfa_nerfstudio.preprocessing.segmentation.person_segmenter import NETWORK_SIZE, PersonSegmenter
from dfa_nerfstudio.preprocessing.video.crop import Square

PERSON_MARGIN = 1 / 20
"""The background begins such a part of the picture's longer side away from the person."""
STILL = 0.65
"""A frame of whose background so much is where it was stands still; screens and passers-by take up the rest."""
RESTLESS = 0.03
"""Part of a shot's looks that may not stand still while the shot does."""
FOLLOWED = 0.4
"""A frame of whose background less agrees with the reference is lost."""
BETTER = 0.1
"""A motion is real if so much more of the background agrees with it than with none,"""
NOTABLE = 0.75
"""and if it is as large as this in pixels of the aligned picture, and"""
OFTEN = 0.05
"""if so large a part of the frames is moved."""
MOST_LOST = 0.2
"""Part of the training frames that may be lost,"""
LITTLE = 1 / 100
"""unless the camera hardly moves: no farther than this part of the picture's longer side, and is taken as still."""
CORRELATED, PRICE = 400.0, 6.0
"""How many pixels are thought to share an error, and what moving by a pixel costs against these errors: a camera at
rest shall rest exactly, whatever the compression does to a faint background."""
COVERED = 0.98
"""Part of the training frames that must show a pixel for it to be used."""
LEAST_SIDE = 1.4
"""Side of the square in heights of the face's box, brows to chin, that a head needs."""


@dataclass
class Thumbnails:
    """Small pictures of some of a video's frames, compressed: an hour at one a second takes some 60 MB."""

    _encoded: dict[int, bytes] = field(default_factory=dict)

    def add(self, number: int, image: UInt8[np.ndarray, "H W 3"]) -> None:
        scale = min(1.0, SIDE / max(image.shape))
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        self._encoded[number] = cv2.imencode(".jpg", small, (cv2.IMWRITE_JPEG_QUALITY, 92))[1].tobytes()

    def __contains__(self, number: int) -> bool:
        return number in self._encoded

    def __getitem__(self, number: int) -> UInt8[np.ndarray, "h w 3"]:
        return cv2.imdecode(np.frombuffer(self._encoded[number], np.uint8), cv2.IMREAD_COLOR)


class Camera(NamedTuple):
    """How the background of every frame lies to that of the reference frame."""

    matrices: Float[np.ndarray, "T 2 3"]
    """Take places in the reference to places in the frame, in pixels of the source, x right, y down, the middle of the
    first pixel being the origin."""
    followed: Bool[np.ndarray, " T"]
    """False where the background was lost."""

    def warp(self, number: int, image: UInt8[np.ndarray, "H W 3"], square: Square) -> UInt8[np.ndarray, "S S 3"]:
        """The part of frame `number` that the reference shows in `square`."""
        matrix = self.matrices[number]
        if np.array_equal(matrix, IDENTITY):
            return square.cut(image)
        matrix = np.column_stack([matrix[:, :2], matrix[:, 2] + matrix[:, :2] @ [square.left, square.top]])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(image, matrix, (square.side,) * 2, flags=flags, borderMode=cv2.BORDER_REPLICATE)

    def in_reference(self, number: int, boxes: Float[np.ndarray, "F 4"]) -> Float[np.ndarray, "F 4"]:
        """Boxes (centre x, centre y, width, height) of frame `number` as they lie in the reference."""
        back = cv2.invertAffineTransform(self.matrices[number])
        scale = np.sqrt(np.linalg.det(back[:, :2]))
        return np.concatenate([boxes[:, :2] @ back[:, :2].T + back[:, 2], boxes[:, 2:] * scale], axis=1)

    def greatest_shift(self, width: int, height: int) -> float:
        """The farthest that the middle of the picture or one of its corners moves, in pixels."""
        places = np.array([(x, y) for x in (0, width / 2, width) for y in (0, height / 2, height)])
        moved = (
            places @ self.matrices[self.followed, :, :2].transpose(0, 2, 1) + self.matrices[self.followed, None, :, 2]
        )
        return float(np.linalg.norm(moved - places, axis=-1).max(initial=0))

    def shows(self, square: Square, width: int, height: int) -> Bool[np.ndarray, " T"]:
        """Which frames show all of the square."""
        left, top, side = square
        corners = np.array([(x, y) for x in (left, left + side - 1) for y in (top, top + side - 1)], float)
        places = corners @ self.matrices[:, :, :2].transpose(0, 2, 1) + self.matrices[:, None, :, 2]  # [T 4 2]
        inside = (places >= -1) & (places <= (width, height))  # a pixel beyond the rim looks like the rim
        return self.followed & inside.all((1, 2))

    def common_square(self, wanted: Square, width: int, height: int, num_train: int) -> Square:
        """The square nearest to `wanted`, and no larger, that (nearly) all training frames show."""
        scale = 256 / max(width, height)
        size = round(width * scale), round(height * scale)
        shown = np.zeros(size[::-1], np.int32)
        frames = np.flatnonzero(self.followed[:num_train])
        full = np.full((size[1], size[0]), 1, np.uint8)
        for number in frames:
            matrix = self.matrices[number].copy()
            matrix[:, 2] *= scale
            shown += cv2.warpAffine(full, matrix, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
        room = cv2.distanceTransform(np.pad(shown >= COVERED * len(frames), 1).astype(np.uint8), cv2.DIST_C, 3)[
            1:-1, 1:-1
        ]
        most = (2 * room - 3) / scale  # side of the square around each place; a place may be out by one
        side = int(min(wanted.side, most.max()))
        rows, columns = np.nonzero(most >= side)
        x, y = (columns + 0.5) / scale, (rows + 0.5) / scale
        middle = np.array([wanted.left, wanted.top]) + wanted.side / 2
        best = np.hypot(x - middle[0], y - middle[1]).argmin()
        left, top = round(float(x[best]) - side / 2), round(float(y[best]) - side / 2)
        return Square(max(0, left), max(0, top), side)


class _Shot(NamedTuple):
    frames: Int[np.ndarray, " F"]
    looks: list[int]
    """Those training frames of it of which there is a thumbnail."""
    aligner: BackgroundAligner | None
    """Of the first look; none where there is no look."""
    still: bool
    """Whether all looks stand still against the first."""


def find_camera(
    video: Video, scene: range, size: tuple[int, int], thumbnails: Thumbnails, timeline: Timeline, stages: Stages
) -> Camera | None:
    """Looks whether the camera moves, and how; None if it is still, or if nothing in the background could tell.

    Args:
        video: the video.
        scene: the frames of the video that make the clip.
        size: width and height of the frames.
        thumbnails: of some of the video's frames.
        timeline: the clip's. Only training frames decide; held-out ones are aligned with what was decided.
        stages: progress.

    Raises:
        UserError: if the camera moves and cannot be followed.
    """
    segmenter = PersonSegmenter()

    def picture(number: int) -> Float32[np.ndarray, "h w"]:
        return texture_picture(thumbnails[scene[number]])

    def shot_of(frames: Int[np.ndarray, " F"]) -> _Shot:
        training = frames[frames < timeline.num_train].tolist()
        numbers = [number for number in training if scene[number] in thumbnails]
        if not numbers:
            return _Shot(frames, numbers, None, True)
        first = numbers[0]
        segmenter.forget()
        aligner = BackgroundAligner(picture(first), _background(thumbnails[scene[first]], segmenter))
        still = np.array([aligner.still(picture(number)) for number in numbers])
        return _Shot(frames, numbers, aligner, not aligner.textured or (still < STILL).mean() <= RESTLESS)

    shots = [shot_of(np.flatnonzero(timeline.shot == number)) for number in np.unique(timeline.shot)]
    known = [shot for shot in shots if shot.aligner and shot.aligner.textured]
    if not known:
        return None
    longest = max(known, key=lambda shot: (shot.still, len(shot.looks)))
    aligner = longest.aligner
    assert aligner is not None
    matrices, followed = np.repeat(IDENTITY[None], len(timeline), 0), np.ones(len(timeline), bool)
    shifts: list[float] = []

    def follow(doubtful: list[_Shot]) -> None:
        motions = _follow(video, scene, np.concatenate([shot.frames for shot in doubtful]), aligner, stages)
        for shot in doubtful:
            learnt = [motions[number] for number in shot.frames if number < timeline.num_train]
            if _moves(learnt or [motions[number] for number in shot.frames]):
                shifts.extend(motion.shift for motion in learnt if _real(motion))
                for run in timeline.runs():
                    frames = shot.frames[(shot.frames >= run.start) & (shot.frames < run.stop)]
                    if len(frames):
                        matrices[frames], followed[frames] = _smoothed([motions[number] for number in frames], aligner)

    restless = [shot for shot in shots if not shot.still]
    if restless:
        follow(restless)
    for shot in shots:
        if shot is not longest and shot.still and shot.looks:
            first, last = shot.frames[[0, -1]]
            starts = [IDENTITY, matrices[max(first - 1, 0)], matrices[min(last + 1, len(matrices) - 1)]]
            motions = [_best(aligner, picture(number), starts) for number in shot.looks]
            matrices[shot.frames] = _common_motion(motions)
    if not (matrices != IDENTITY).any():
        return None
    unseen = [shot for shot in shots if not shot.looks]
    if unseen:
        follow(unseen)
    lost = 1 - followed[: timeline.num_train].mean()
    if lost > MOST_LOST and np.percentile(shifts, 90) < LITTLE * SIDE:
        return None
    if lost > MOST_LOST:
        raise UserError(
            f"{video.path}: the camera moves, and the background cannot be followed in {100 * lost:.0f} % of the "
            "frames; film with the camera still, or take it as still all the same with --camera still"
        )
    return Camera(_of_source(matrices, max(size)), followed)


def _background(look: UInt8[np.ndarray, "h w 3"], segmenter: PersonSegmenter) -> Bool[np.ndarray, "H W"]:
    """Where a thumbnail surely does not show the person, at the size of `texture_picture`."""
    scale = SIDE / max(look.shape)
    size = round(look.shape[1] * scale), round(look.shape[0] * scale)
    square = cv2.resize(look, (NETWORK_SIZE,) * 2, interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(segmenter.alpha(square, NETWORK_SIZE), size, interpolation=cv2.INTER_LINEAR)
    margin = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(PERSON_MARGIN * SIDE) + 1,) * 2)
    return cv2.dilate(alpha, margin) < SURELY_FREE


def _real(motion: Motion) -> bool:
    """Whether the camera has moved, and not just something behind the person."""
    better = motion.agreement - motion.still > BETTER
    return motion.agreement >= FOLLOWED and better and motion.shift > NOTABLE


def _moves(motions: list[Motion]) -> bool:
    return bool(motions) and float(np.mean([_real(motion) for motion in motions])) >= OFTEN


def _best(
    aligner: BackgroundAligner, picture: Float32[np.ndarray, "h w"], starts: list[Float[np.ndarray, "2 3"]]
) -> Motion:
    """The motion on which most agrees, of those found from several starts."""
    distinct = {start.tobytes(): start for start in starts}.values()
    return max((aligner.align(picture, start) for start in distinct), key=lambda motion: motion.agreement)


def _common_motion(motions: list[Motion]) -> Float[np.ndarray, "2 3"]:
    """That of a shot which is still in itself; none if it is where the reference is, or cannot be found."""
    real = [motion.matrix for motion in motions if _real(motion)]
    return np.median(real, axis=0) if len(real) > len(motions) / 2 else IDENTITY


def _follow(
    video: Video, scene: range, numbers: Int[np.ndarray, " N"], aligner: BackgroundAligner, stages: Stages
) -> dict[int, Motion]:
    """The motions of some frames, each found from where the one before was."""
    wanted, motions, last = set(numbers.tolist()), {}, None
    with stages.stage("camera", len(scene)) as advance:
        for number, frame in enumerate(islice(video.frames(), scene.start, scene.stop)):
            if number in wanted:
                picture = texture_picture(to_rgb(frame))
                motion = aligner.align(picture, last.matrix, levels=1) if last else None
                if last is None or motion is None or motion.agreement < max(FOLLOWED, last.agreement - BETTER):
                    motion = _best(aligner, picture, [IDENTITY, last.matrix] if last else [IDENTITY])
                if motion.agreement >= FOLLOWED:
                    last = motion
                motions[number] = motion
            advance(1)
    return motions


def _smoothed(
    motions: list[Motion], aligner: BackgroundAligner
) -> tuple[Float[np.ndarray, "F 2 3"], Bool[np.ndarray, " F"]]:
    """The matrices of frames that follow each other, and which of them are of use.

    Where the background was lost for a moment they are interpolated.
    """
    found = np.array([motion.agreement >= FOLLOWED for motion in motions])
    values = to_parameters(np.stack([motion.matrix for motion in motions]), aligner.shape)
    information = np.stack([motion.information for motion in motions]) / CORRELATED
    information[~found] = 0
    matrices = to_matrices(smoothed_at_rest(values, information, PRICE), aligner.shape)
    known = np.flatnonzero(found)
    for before, after in pairwise([-1, *known.tolist(), len(found)]):
        found[before + 1 : after] = after - before - 1 <= LONGEST_GAP and before >= 0 and after < len(found)
    return matrices, found


def _of_source(matrices: Float[np.ndarray, "T 2 3"], longer_side: int) -> Float[np.ndarray, "T 2 3"]:
    """From the aligned pictures' units to the source's, whose origin is the middle of its first pixel."""
    linear = matrices[:, :, :2]
    shift = matrices[:, :, 2] * longer_side / SIDE + linear.sum(-1) / 2 - 0.5
    return np.concatenate([linear, shift[..., None]], axis=2)
