"""Rays for training, drawn for several steps at once."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int, UInt8
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from dfa_nerfstudio.data.frame_cache import FrameCache
from dfa_nerfstudio.data.pinhole_rays import pinhole_rays
from dfa_nerfstudio.data.pixel_sampler import Pixels, PixelSampler

_STEPS = 8
"""Steps whose rays are drawn at once: drawing is a fifth of a step's operations, however few pixels it is for."""

Batch = dict[str, Tensor]


class RayBuffer:
    """Rays through pixels, and what the film shows there.

    A batch has `indices` [R, 3] (frame, row, column), `image` [R, 3] and `mask` [R] in [0, 1], `weight` [S] of the
    pixels that were drawn singly, which come before those of patches, and `allowed` [R, 2]: whether the audio and the
    eyes may count there.
    """

    def __init__(self, pixels: PixelSampler, pool: FrameCache, cameras: Cameras) -> None:
        self._pixels, self._pool, self._cameras = pixels, pool, cameras
        self._drawn: Pixels | None = None
        self._errors: list[Tensor] = []
        self._taken = 0

    def take(self, count: int) -> tuple[RayBundle, Batch]:
        """So many rays, drawn where they matter."""
        if self._drawn is None or self._taken + count > len(self._drawn):
            self._refill(count * _STEPS)
        part = slice(self._taken, self._taken + count)
        self._taken += count
        return self._rays[part], {name: values[part] for name, values in self._batch.items()}

    def take_with_patches(self, count: int, patches: int, size: int) -> tuple[RayBundle, Batch]:
        """The same, and square patches around mouth and eyes, which have no weight: they are not drawn evenly."""
        rays, batch = self.take(count)
        if not patches:
            return rays, batch
        more_rays, more = self._look(self._pixels.draw_patches(patches, size, self._pool.numbers))
        fields = ("origins", "directions", "pixel_area", "camera_indices", "times")
        both: dict[str, Any] = {name: torch.cat([getattr(rays, name), getattr(more_rays, name)]) for name in fields}
        joined = {name: torch.cat([batch[name], more[name]]) for name in batch if name != "weight"}
        return RayBundle(**both), {**joined, "weight": batch["weight"]}

    def learn(self, error: Float[Tensor, " R"]) -> None:
        """Tells how wrong the pixels that were taken last turned out to be; to be called after each step."""
        self._errors.append(error)

    def _refill(self, count: int) -> None:
        if self._drawn is not None and self._errors:
            errors = torch.cat(self._errors)
            self._pixels.learn(self._drawn[: len(errors)], errors)
        self._errors, self._taken = [], 0
        self._drawn = self._pixels.draw(count, self._pool.numbers)
        self._rays, self._batch = self._look(self._drawn)

    def _look(self, pixels: Pixels) -> tuple[RayBundle, Batch]:
        indices = torch.stack([self._pool.numbers[pixels.place], pixels.row, pixels.column], dim=-1)
        seen = self._pool.frames[pixels.place, pixels.row, pixels.column]
        allowed = torch.stack([pixels.inside[:, 3], pixels.inside[:, 1:3].any(-1)], dim=-1)
        return pinhole_rays(self._cameras, indices), batch_of(indices, seen, pixels.weight, allowed)


def batch_of(
    indices: Int[Tensor, "R 3"], seen: UInt8[Tensor, "R 4"], weight: Float[Tensor, " S"], allowed: Bool[Tensor, "R 2"]
) -> Batch:
    """What rays are compared with; see `RayBuffer`."""
    values = seen.float() / 255
    return {"indices": indices, "image": values[:, :3], "mask": values[:, 3], "weight": weight, "allowed": allowed}
