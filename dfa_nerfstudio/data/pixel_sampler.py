"""Samples training pixels from the person, and more often from the mouth, the eyes and where the error is large."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

_CELL = 4
"""Side in pixels of a cell of the error map."""


@dataclass
class PixelSamplerConfig:
    """Distribution of training pixels.

    Mouth and eyes are a few hundredths of an image and the most important part of a talking head: sampling them more
    often changes the loss on purpose. Sampling by error only reduces the variance of the gradients, and weights undo
    its effect on the loss.
    """

    mouth: float = 0.2
    """Share of pixels, and of the loss, from the mouth's box in the frame."""
    eyes: float = 0.1
    """Share of pixels, and of the loss, from the eyes' boxes in the frame, half of it each."""
    person: float = 0.95
    """Share, among the remaining pixels, of pixels that show the person in any frame; the others are from anywhere."""
    error: float = 0.25
    """Share of pixels that are sampled in proportion to the recent error there, over all frames."""


@dataclass
class Pixels:
    """R sampled pixels."""

    slot: Int[Tensor, " R"]
    """Slot of the pixel's frame in the frame cache."""
    row: Int[Tensor, " R"]
    column: Int[Tensor, " R"]
    weight: Float[Tensor, " R"]
    """Density that the loss is defined with, divided by the density that the pixel was sampled with."""
    in_box: Bool[Tensor, "R 4"]
    """Whether the pixel lies in the box of the mouth, the left eye, the right eye, the lower face."""

    def __len__(self) -> int:
        return len(self.slot)

    def __getitem__(self, part: slice) -> Pixels:
        return Pixels(*(values[part] for values in vars(self).values()))


class PixelSampler:
    """Samples pixels of frames from a mixture of densities."""

    def __init__(self, config: PixelSamplerConfig, person: Bool[Tensor, "H W"], boxes: Int[Tensor, "T 4 4"]) -> None:
        """
        Args:
            config: shares of the densities.
            person: pixels that show the person in any frame.
            boxes: left, top, right, bottom (exclusive) of mouth, left eye, right eye and lower face in every frame.
        """
        self.config = config
        height, width = person.shape
        self._person = person if person.any() else torch.ones_like(person)
        self._pixels = torch.nonzero(self._person)  # [P, 2]
        self._boxes = boxes
        self.error_map = torch.ones(-(-height // _CELL), -(-width // _CELL), device=person.device)
        """Moving average of the squared error in each cell of the image."""

    def draw(self, count: int, frame_numbers: Int[Tensor, " P"]) -> Pixels:
        """Samples pixels.

        Args:
            count: number of pixels.
            frame_numbers: frame number of each slot of the frame cache.
        """
        config, device = self.config, self._person.device
        height, width = self._person.shape
        slot = torch.randint(len(frame_numbers), (count,), device=device)
        pixel = self._pixels[torch.randint(len(self._pixels), (count,), device=device)]
        row, column = pixel.unbind(-1)
        component, focused = torch.rand(count, device=device), config.mouth + config.eyes + config.error
        anywhere = component > focused + (1 - focused) * config.person
        row = torch.where(anywhere, torch.randint(height, (count,), device=device), row)
        column = torch.where(anywhere, torch.randint(width, (count,), device=device), column)
        boxes = self._boxes[frame_numbers[slot]]  # [R, 4, 4]
        which = torch.where(component < config.mouth, 0, torch.randint(1, 3, (count,), device=device))
        left, top, right, bottom = boxes[torch.arange(count, device=device), which].unbind(-1)
        by_box = component < config.mouth + config.eyes
        row = torch.where(by_box, _between(top, bottom), row)
        column = torch.where(by_box, _between(left, right), column)
        if config.error:
            cell = torch.multinomial(self.error_map.flatten(), count, replacement=True)
            corner = torch.stack([cell // self.error_map.shape[1], cell % self.error_map.shape[1]], -1) * _CELL
            in_cell = corner + torch.randint(_CELL, (count, 2), device=device)
            by_error = ~by_box & (component < focused)
            row = torch.where(by_error, in_cell[:, 0].clamp(max=height - 1), row)
            column = torch.where(by_error, in_cell[:, 1].clamp(max=width - 1), column)
        in_box = _in_box(row, column, boxes)
        density = in_box / ((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]))
        return Pixels(slot, row, column, self._weight(row, column, density), in_box)

    def draw_patches(self, count: int, size: int, frame_numbers: Int[Tensor, " P"]) -> Pixels:
        """Samples square patches around the middle of a mouth or an eye, each from a frame of its own.

        Args:
            count: number of patches.
            size: side of a patch in pixels; at most the image's.
            frame_numbers: frame number of each slot of the frame cache.

        Returns:
            count x size x size pixels, patch by patch, row by row; their weight is 0, because they are not sampled from
            the density that the loss is defined with.
        """
        device = self._person.device
        slot = torch.randint(len(frame_numbers), (count,), device=device)
        boxes = self._boxes[frame_numbers[slot]]  # [count, 4, 4]
        which = torch.randint(-1, 3, (count,), device=device).clamp(min=0)
        left, top, right, bottom = boxes[torch.arange(count, device=device), which].unbind(-1)
        offset = torch.randint(-(size // 4), size // 4 + 1, (2, count), device=device)
        corners = [
            (middle // 2 - size // 2 + shift).clamp(0, length - size)
            for middle, shift, length in zip((top + bottom, left + right), offset, self._person.shape, strict=True)
        ]
        steps = torch.arange(size, device=device)
        row = (corners[0][:, None, None] + steps[:, None]).expand(-1, -1, size).flatten()
        column = (corners[1][:, None, None] + steps).expand(-1, size, -1).flatten()
        in_box = _in_box(row, column, boxes.repeat_interleave(size**2, 0))
        return Pixels(slot.repeat_interleave(size**2), row, column, torch.zeros_like(row, dtype=torch.float), in_box)

    def update_error_map(self, pixels: Pixels, error: Float[Tensor, " R"]) -> None:
        """Updates the moving average of each cell's error, whose half-life is about 20 samples of the cell.

        Errors that are not finite do not count: one would stay in the average for ever.
        """
        if not self.config.error:
            return
        cell = pixels.row // _CELL * self.error_map.shape[1] + pixels.column // _CELL
        flat = self.error_map.view(-1)
        finite = error.isfinite()
        num_samples = torch.zeros_like(flat).index_add(0, cell, finite.to(flat))
        mean = torch.zeros_like(flat).index_add(0, cell, error.where(finite, 0)) / num_samples.clamp(min=1)
        flat.lerp_(mean, 1 - 0.97**num_samples)

    def _weight(
        self, row: Int[Tensor, " R"], column: Int[Tensor, " R"], box_density: Float[Tensor, "R 4"]
    ) -> Float[Tensor, " R"]:
        """Density that the loss is defined with over the sampling density, given the densities of the boxes."""
        config, (height, width) = self.config, self._person.shape
        uniform = (1 - config.person) / (height * width) + config.person * self._person[row, column] / len(self._pixels)
        boxes = config.mouth * box_density[:, 0] + config.eyes * box_density[:, 1:3].mean(-1)
        rest = 1 - config.mouth - config.eyes
        target, sampled = boxes + rest * uniform, boxes + (rest - config.error) * uniform
        if config.error:
            error_density = self.error_map / (self.error_map.sum() * _CELL**2)
            sampled = sampled + config.error * error_density[row // _CELL, column // _CELL]
        return target / sampled


def _in_box(row: Int[Tensor, " R"], column: Int[Tensor, " R"], boxes: Int[Tensor, "R 4 4"]) -> Bool[Tensor, "R 4"]:
    left, top, right, bottom = boxes.unbind(-1)  # [R, 4]
    return (row[:, None] >= top) & (row[:, None] < bottom) & (column[:, None] >= left) & (column[:, None] < right)


def _between(low: Int[Tensor, " R"], high: Int[Tensor, " R"]) -> Int[Tensor, " R"]:
    return low + (torch.rand(len(low), device=low.device) * (high - low)).long().clamp(max=high - low - 1)


def dilate(mask: Bool[Tensor, "H W"], pixels: int) -> Bool[Tensor, "H W"]:
    """Dilates a mask by a number of pixels."""
    return F.max_pool2d(mask.float()[None, None], 2 * pixels + 1, stride=1, padding=pixels)[0, 0] > 0
