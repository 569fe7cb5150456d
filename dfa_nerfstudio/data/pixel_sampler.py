"""Which pixels training looks at: the person, and more often the mouth, the eyes and where the error is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

_CELL = 4
"""Pixels along a side of a cell of the error map."""


@dataclass
class PixelSamplerConfig:
    """What training looks at, and what it is judged by.

    Mouth and eyes are a few hundredths of a picture and all of a talking head: that they are drawn more often is meant.
    That errors are drawn more often only makes training less noisy there, and is undone by weights.
    """

    mouth: float = 0.2
    """Share of the loss that the mouth's box in the frame has."""
    eyes: float = 0.1
    """Share of the loss that the eyes' boxes in the frame have, half of it each."""
    person: float = 0.95
    """Of the rest: share of the pixels that ever show the person; what then remains is from anywhere."""
    error: float = 0.25
    """Share of the pixels that are drawn by how wrong training has lately been there, over all frames."""


@dataclass
class Pixels:
    """R pixels."""

    place: Int[Tensor, " R"]
    """Place of the frame in the pool of frames."""
    row: Int[Tensor, " R"]
    column: Int[Tensor, " R"]
    weight: Float[Tensor, " R"]
    """Density in which the loss is meant over that in which the pixel was drawn."""
    inside: Bool[Tensor, "R 4"]
    """Whether it lies in the box of the mouth, the left eye, the right eye, the lower face."""

    def __len__(self) -> int:
        return len(self.place)

    def __getitem__(self, part: slice) -> Pixels:
        return Pixels(*(values[part] for values in vars(self).values()))


class PixelSampler:
    """A mixture of densities over the pixels of frames."""

    def __init__(self, config: PixelSamplerConfig, person: Bool[Tensor, "H W"], boxes: Int[Tensor, "T 4 4"]) -> None:
        """
        Args:
            config: shares.
            person: pixels that ever show the person.
            boxes: left, top, right, bottom (exclusive) of mouth, left eye, right eye and lower face in every frame.
        """
        self.config = config
        height, width = person.shape
        self._person = person if person.any() else torch.ones_like(person)
        self._pixels = torch.nonzero(self._person)  # [P, 2]
        self._boxes = boxes
        self._error = torch.ones(-(-height // _CELL), -(-width // _CELL), device=person.device)

    def draw(self, count: int, numbers: Int[Tensor, " P"]) -> Pixels:
        """Draws pixels of frames.

        Args:
            count: how many.
            numbers: the frame that lies in each place of the pool.
        """
        config, device = self.config, self._person.device
        height, width = self._person.shape
        place = torch.randint(len(numbers), (count,), device=device)
        pixel = self._pixels[torch.randint(len(self._pixels), (count,), device=device)]
        row, column = pixel.unbind(-1)
        reason, rest = torch.rand(count, device=device), config.mouth + config.eyes + config.error
        anywhere = reason > rest + (1 - rest) * config.person
        row = torch.where(anywhere, torch.randint(height, (count,), device=device), row)
        column = torch.where(anywhere, torch.randint(width, (count,), device=device), column)
        boxes = self._boxes[numbers[place]]  # [R, 4, 4]
        which = torch.where(reason < config.mouth, 0, torch.randint(1, 3, (count,), device=device))
        left, top, right, bottom = boxes[torch.arange(count, device=device), which].unbind(-1)
        in_box = reason < config.mouth + config.eyes
        row = torch.where(in_box, _between(top, bottom), row)
        column = torch.where(in_box, _between(left, right), column)
        if config.error:
            cell = torch.multinomial(self._error.flatten(), count, replacement=True)
            corner = torch.stack([cell // self._error.shape[1], cell % self._error.shape[1]], -1) * _CELL
            inside = corner + torch.randint(_CELL, (count, 2), device=device)
            by_error = ~in_box & (reason < rest)
            row = torch.where(by_error, inside[:, 0].clamp(max=height - 1), row)
            column = torch.where(by_error, inside[:, 1].clamp(max=width - 1), column)
        inside = _inside(row, column, boxes)
        in_box = inside / ((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]))
        return Pixels(place, row, column, self._weight(row, column, in_box), inside)

    def draw_patches(self, count: int, size: int, numbers: Int[Tensor, " P"]) -> Pixels:
        """Draws square patches around the middle of a mouth or an eye, each of a frame of its own.

        Args:
            count: how many.
            size: pixels along a side; at most the image's.
            numbers: the frame that lies in each place of the pool.

        Returns:
            count x size x size pixels, patch by patch, row by row; of weight 0, for they were not drawn evenly.
        """
        device = self._person.device
        place = torch.randint(len(numbers), (count,), device=device)
        boxes = self._boxes[numbers[place]]  # [count, 4, 4]
        which = torch.randint(-1, 3, (count,), device=device).clamp(min=0)
        left, top, right, bottom = boxes[torch.arange(count, device=device), which].unbind(-1)
        away = torch.randint(-(size // 4), size // 4 + 1, (2, count), device=device)
        corners = [
            (middle // 2 - size // 2 + shift).clamp(0, length - size)
            for middle, shift, length in zip((top + bottom, left + right), away, self._person.shape, strict=True)
        ]
        along = torch.arange(size, device=device)
        row = (corners[0][:, None, None] + along[:, None]).expand(-1, -1, size).flatten()
        column = (corners[1][:, None, None] + along).expand(-1, size, -1).flatten()
        inside = _inside(row, column, boxes.repeat_interleave(size**2, 0))
        return Pixels(place.repeat_interleave(size**2), row, column, torch.zeros_like(row, dtype=torch.float), inside)

    def learn(self, pixels: Pixels, error: Float[Tensor, " R"]) -> None:
        """Remembers how wrong training was at pixels; a cell forgets half after some twenty looks at it."""
        if not self.config.error:
            return
        cell = pixels.row // _CELL * self._error.shape[1] + pixels.column // _CELL
        flat = self._error.view(-1)
        looks = torch.zeros_like(flat).index_add(0, cell, torch.ones_like(error))
        mean = torch.zeros_like(flat).index_add(0, cell, error) / looks.clamp(min=1)
        flat.lerp_(mean, 1 - 0.97**looks)

    def _weight(
        self, row: Int[Tensor, " R"], column: Int[Tensor, " R"], in_box: Float[Tensor, "R 4"]
    ) -> Float[Tensor, " R"]:
        """Density meant over density drawn, given the densities of the boxes."""
        config, (height, width) = self.config, self._person.shape
        evenly = (1 - config.person) / (height * width) + config.person * self._person[row, column] / len(self._pixels)
        boxes = config.mouth * in_box[:, 0] + config.eyes * in_box[:, 1:3].mean(-1)
        rest = 1 - config.mouth - config.eyes
        meant, drawn = boxes + rest * evenly, boxes + (rest - config.error) * evenly
        if config.error:
            density = self._error / (self._error.sum() * _CELL**2)
            drawn = drawn + config.error * density[row // _CELL, column // _CELL]
        return meant / drawn


def _inside(row: Int[Tensor, " R"], column: Int[Tensor, " R"], boxes: Int[Tensor, "R 4 4"]) -> Bool[Tensor, "R 4"]:
    left, top, right, bottom = boxes.unbind(-1)  # [R, 4]
    return (row[:, None] >= top) & (row[:, None] < bottom) & (column[:, None] >= left) & (column[:, None] < right)


def _between(low: Int[Tensor, " R"], high: Int[Tensor, " R"]) -> Int[Tensor, " R"]:
    return low + (torch.rand(len(low), device=low.device) * (high - low)).long().clamp(max=high - low - 1)


def grown(mask: Bool[Tensor, "H W"], pixels: int) -> Bool[Tensor, "H W"]:
    """The mask and what lies within so many pixels of it."""
    return F.max_pool2d(mask.float()[None, None], 2 * pixels + 1, stride=1, padding=pixels)[0, 0] > 0
