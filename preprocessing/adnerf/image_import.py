"""Converts the images, masks and background of a data folder to those of the dataset folder."""

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
from dfa_nerfstudio.media.images import read_bgr, read_image, write_image
from dfa_nerfstudio.media.timeline import Timeline
from dfa_nerfstudio.preprocessing.adnerf.frame_mapping import FrameMapping
from dfa_nerfstudio.preprocessing.adnerf.mask_import import MaskSource
from dfa_nerfstudio.preprocessing.adnerf.source_folder import ADNeRFFolder
from dfa_nerfstudio.preprocessing.process_config import MIN_IMAGE_SIZE
from dfa_nerfstudio.preprocessing.segmentation.background_estimation import (
    estimate_background,
    read_background_samples,
)

MAX_BACKGROUND_DIFFERENCE = 12.0
"""Largest median difference, in grey levels, between bc.jpg and the pixels beside the person; above it, bc.jpg shows
another background."""


@dataclass
class CropSpec:
    """The central square of the source images, whose centre is the principal point, and the size it is resized to."""

    source_size: tuple[int, int]
    """Width and height of the folder's images in pixels."""
    size: int
    """Side of the dataset's images in pixels."""

    @classmethod
    def from_folder(cls, folder: ADNeRFFolder, size: int | None) -> CropSpec:
        """Computes the crop and checks that the poses fit the images.

        Args:
            folder: the data folder.
            size: side of the dataset's images in pixels; None keeps the source's resolution.

        Raises:
            UserError: if the principal point is not the images' centre, or the images are too small.
        """
        path = folder.images[int(folder.image_ids[0])]
        height, width = read_bgr(path).shape[:2]
        scale_x, scale_y = width / folder.size[0], height / folder.size[1]
        if abs(scale_x / scale_y - 1) > 0.01:
            raise UserError(
                f"{path}: {width}x{height}, but {folder.transforms[0].name} has its principal point at "
                f"({folder.size[0] / 2:g}, {folder.size[1] / 2:g}); it must be the images' centre"
            )
        size = size or min(width, height)
        if size < MIN_IMAGE_SIZE:
            raise UserError(
                f"{folder.path}: images of {size} pixels are too small; set `size={MIN_IMAGE_SIZE}` or more"
            )
        return cls((width, height), size)

    def apply(self, image: UInt8[np.ndarray, "H W ..."], path: Path) -> UInt8[np.ndarray, "size size ..."]:
        """Crops and resizes an image or mask; raises the errors of `square`."""
        square = self.square(image, path)
        if self.size == len(square):
            return square
        interpolation = cv2.INTER_AREA if self.size < len(square) else cv2.INTER_CUBIC
        return cv2.resize(square, (self.size, self.size), interpolation=interpolation)

    def square(self, image: UInt8[np.ndarray, "H W ..."], path: Path) -> UInt8[np.ndarray, "S S ..."]:
        """Crops an image or mask to its central square.

        Raises:
            UserError: if its aspect ratio is not that of the folder's images; the message names `path`.
        """
        height, width = image.shape[:2]
        source_width, source_height = self.source_size
        if abs(width / height - source_width / source_height) > 0.01:
            raise UserError(f"{path}: {width}x{height}, but the other images are {source_width}x{source_height}")
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        return image[top : top + side, left : left + side]


def write_images(
    folder: ADNeRFFolder,
    mapping: FrameMapping,
    crop: CropSpec,
    masks: MaskSource | None,
    output: Path,
    advance: Callable[[int], None],
) -> None:
    """Writes `images/` and, if the data folder has masks, `masks/` and `torso_masks/`.

    Args:
        folder: the data folder.
        mapping: image and masks of each frame.
        crop: crop and size of the images.
        masks: the data folder's masks, if it has any.
        output: the dataset folder.
        advance: called with the number of frames written.
    """
    for path in (image_path(output, 0), *((mask_path(output, 0), torso_mask_path(output, 0)) if masks else ())):
        path.parent.mkdir()
    unchanged = crop.source_size == (crop.size, crop.size)

    def write(row: int) -> None:
        source, target = folder.images[int(mapping.image_numbers[row])], image_path(output, row)
        image = crop.apply(read_bgr(source), source)
        if unchanged and source.suffix.lower() == ".jpg":
            shutil.copyfile(source, target)  # avoids a second JPEG compression
        else:
            write_image(target, image[:, :, ::-1])
        if masks:
            person, torso = masks.read(int(mapping.mask_numbers[row]))
            write_image(mask_path(output, row), crop.apply(person, source))
            write_image(torso_mask_path(output, row), crop.apply(torso, source))

    with ThreadPoolExecutor() as pool:
        for _ in pool.map(write, range(len(mapping))):
            advance(1)


def segment_person(output: Path, timeline: Timeline, advance: Callable[[int], None]) -> None:
    """Writes `masks/` for a data folder without masks, by the segmenter of dfa-process."""
    from dfa_nerfstudio.preprocessing.segmentation.person_segmenter import PersonSegmenter

    segmenter = PersonSegmenter()
    mask_path(output, 0).parent.mkdir()
    for run in timeline.runs():
        segmenter.reset()
        for row in range(run.start, run.stop):
            image = read_image(image_path(output, row))
            write_image(mask_path(output, row), segmenter.segment(image, len(image)))
            advance(1)


def write_background(folder: ADNeRFFolder, crop: CropSpec, train_mask: Bool[np.ndarray, " T"], output: Path) -> str:
    """Writes `background.png`: `bc.jpg` if it matches the pixels beside the person, otherwise an estimate from training
    frames.

    Returns:
        source of the background, in words.
    """
    images, alphas = read_background_samples(output, train_mask)
    path = folder.file("bc.jpg")
    if path:
        background = crop.apply(read_bgr(path), path)[:, :, ::-1]
        margin = np.ones((crop.size // 32 * 2 + 1,) * 2, np.uint8)
        beside = np.stack([cv2.dilate(alpha, margin) == 0 for alpha in alphas])
        difference = np.abs(images.astype(np.int16) - background).max(-1)[beside]
        if not difference.size or np.median(difference) < MAX_BACKGROUND_DIFFERENCE:
            write_image(output / BACKGROUND, background)
            return path.name
    write_image(output / BACKGROUND, estimate_background(images, alphas).image)
    return "uncovered parts of the images" + (" (bc.jpg shows another background)" if path else "")
