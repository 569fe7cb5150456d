"""Pictures, masks and background of a data folder at the dataset folder's size and places."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from dfa_nerfstudio.data.dataset_folder import BACKGROUND, image_path, mask_path, torso_mask_path
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.images import read_image, read_mask, write_image
from dfa_nerfstudio.media.timeline import Timeline
from dfa_nerfstudio.preprocessing.adnerf.frame_mapping import Layout
from dfa_nerfstudio.preprocessing.adnerf.mask_import import FoundMasks
from dfa_nerfstudio.preprocessing.adnerf.source_folder import ADNeRFFolder, read_picture

BACKGROUND_SAMPLES = 120
"""Training frames that the background is taken from."""
OTHER_BACKGROUND = 12.0
"""Median difference of levels between bc.jpg and what lies beside the person from which on it is another background."""
LEAST_SIDE = 32


@dataclass
class Framing:
    """The square about the middle of the pictures, which is where the camera looks, and the size it is brought to."""

    picture: tuple[int, int]
    """Width and height of the folder's pictures."""
    size: int
    """Side of the dataset's images."""

    @classmethod
    def of(cls, folder: ADNeRFFolder, size: int | None) -> Framing:
        """Checks that the poses belong to pictures like these.

        Args:
            folder: the data folder.
            size: side of the images to be; None leaves them as they are.

        Raises:
            UserError: if the principal point is not the pictures' centre.
        """
        path = folder.pictures[int(folder.image_ids[0])]
        height, width = read_picture(path).shape[:2]
        across, down = width / folder.size[0], height / folder.size[1]
        if abs(across / down - 1) > 0.01:
            raise UserError(
                f"{path}: {width}x{height}, but {folder.transforms[0].name} has its principal point at "
                f"({folder.size[0] / 2:g}, {folder.size[1] / 2:g}); it must be the pictures' centre"
            )
        size = size or min(width, height)
        if size < LEAST_SIDE:
            raise UserError(f"{folder.path}: images of {size} pixels are too small; {LEAST_SIDE} is the least (--size)")
        return cls((width, height), size)

    def cut(self, picture: UInt8[np.ndarray, "H W ..."], path: Path) -> UInt8[np.ndarray, "size size ..."]:
        """The square of a picture or mask, resized; raises as `square`."""
        square = self.square(picture, path)
        way = cv2.INTER_AREA if self.size < len(square) else cv2.INTER_CUBIC
        return square if self.size == len(square) else cv2.resize(square, (self.size, self.size), interpolation=way)

    def square(self, picture: UInt8[np.ndarray, "H W ..."], path: Path) -> UInt8[np.ndarray, "S S ..."]:
        """The square about the middle of a picture or mask.

        Raises:
            UserError: naming `path`, if it is of another shape than the pictures.
        """
        height, width = picture.shape[:2]
        if abs(width / height - self.picture[0] / self.picture[1]) > 0.01:
            raise UserError(f"{path}: {width}x{height}, but the pictures are {self.picture[0]}x{self.picture[1]}")
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        return picture[top : top + side, left : left + side]


def write_pictures(
    folder: ADNeRFFolder,
    layout: Layout,
    framing: Framing,
    masks: FoundMasks | None,
    output: Path,
    advance: Callable[[int], None],
) -> None:
    """Writes `images/` and, where there are masks, `masks/` and `torso_masks/`.

    Args:
        folder: the data folder.
        layout: which picture goes where.
        framing: at what size.
        masks: the folder's own.
        output: the dataset folder.
        advance: called with the number of frames that are done.
    """
    for path in (image_path(output, 0), *((mask_path(output, 0), torso_mask_path(output, 0)) if masks else ())):
        path.parent.mkdir()
    untouched = framing.picture == (framing.size, framing.size)

    def write(row: int) -> None:
        source, target = folder.pictures[int(layout.numbers[row])], image_path(output, row)
        picture = framing.cut(read_picture(source), source)
        if untouched and source.suffix.lower() == ".jpg":
            shutil.copyfile(source, target)  # as sharp as it was
        else:
            write_image(target, picture[:, :, ::-1])
        if masks:
            person, torso = masks.read(int(layout.masked[row]))
            write_image(mask_path(output, row), framing.cut(person, source))
            write_image(torso_mask_path(output, row), framing.cut(torso, source))

    with ThreadPoolExecutor() as pool:
        for _ in pool.map(write, range(len(layout))):
            advance(1)


def segment_person(output: Path, timeline: Timeline, advance: Callable[[int], None]) -> None:
    """Writes `masks/` as dfa-process does, for a data folder without masks."""
    from dfa_nerfstudio.preprocessing.segmentation.person_segmenter import PersonSegmenter

    segmenter = PersonSegmenter()
    mask_path(output, 0).parent.mkdir()
    for run in timeline.runs():
        segmenter.forget()
        for row in range(run.start, run.stop):
            image = read_image(image_path(output, row))
            write_image(mask_path(output, row), segmenter.alpha(image, len(image)))
            advance(1)


def write_background(folder: ADNeRFFolder, framing: Framing, learn: Bool[np.ndarray, " T"], output: Path) -> str:
    """Writes `background.png`: `bc.jpg`, where that is what lies beside the person; else what training frames uncover.

    Returns:
        where it comes from.
    """
    frames = np.flatnonzero(learn)
    frames = frames[np.unique(np.linspace(0, len(frames) - 1, BACKGROUND_SAMPLES).round().astype(int))]
    images = np.stack([read_image(image_path(output, frame)) for frame in frames])
    alphas = np.stack([read_mask(mask_path(output, frame)) for frame in frames])
    path = folder.file("bc.jpg")
    if path:
        background = framing.cut(read_picture(path), path)[:, :, ::-1]
        margin = np.ones((framing.size // 32 * 2 + 1,) * 2, np.uint8)
        beside = np.stack([cv2.dilate(alpha, margin) == 0 for alpha in alphas])
        difference = np.abs(images.astype(np.int16) - background).max(-1)[beside]
        if not difference.size or np.median(difference) < OTHER_BACKGROUND:
            write_image(output / BACKGROUND, background)
            return path.name
    from dfa_nerfstudio.preprocessing.segmentation.background_estimation import uncovered_background

    write_image(output / BACKGROUND, uncovered_background(images, alphas).image)
    return "uncovered parts of the pictures" + (", which do not lie over bc.jpg" if path else "")
