"""A buffer of training rays, sampled for several steps at once."""

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
"""Number of steps whose rays are sampled at once, because sampling takes a fifth of a step's operations whatever the
number of pixels."""

Batch = dict[str, Tensor]


class RayBuffer:
    """Provides rays through sampled pixels, and the video's colours there.

    A batch has `indices` [R, 3] (frame, row, column), `image` [R, 3] and `mask` [R] in [0, 1], `weight` [S] of the
    pixels that were sampled singly, which precede those of patches, and `gate_mask` [R, 2]: whether the pixel lies in
    the lower face, where the audio gate may be open, and in the eyes, where the eye gate may be open.
    """

    def __init__(self, pixels: PixelSampler, cache: FrameCache, cameras: Cameras) -> None:
        self._pixels, self._cache, self._cameras = pixels, cache, cameras
        self._buffered: Pixels | None = None
        self._errors: list[Tensor] = []
        self._taken = 0

    def take(self, count: int) -> tuple[RayBundle, Batch]:
        """Returns `count` rays through sampled pixels."""
        if self._buffered is None or self._taken + count > len(self._buffered):
            self._refill(count * _STEPS)
        part = slice(self._taken, self._taken + count)
        self._taken += count
        return self._rays[part], {name: values[part] for name, values in self._batch.items()}

    def take_with_patches(self, count: int, patches: int, size: int) -> tuple[RayBundle, Batch]:
        """Returns `count` rays, and after them those of square patches around mouth and eyes, which have no weight."""
        rays, batch = self.take(count)
        if not patches:
            return rays, batch
        patch_rays, patch_batch = self._rays_and_batch(
            self._pixels.draw_patches(patches, size, self._cache.frame_numbers)
        )
        fields = ("origins", "directions", "pixel_area", "camera_indices", "times")
        both: dict[str, Any] = {name: torch.cat([getattr(rays, name), getattr(patch_rays, name)]) for name in fields}
        joined = {name: torch.cat([batch[name], patch_batch[name]]) for name in batch if name != "weight"}
        return RayBundle(**both), {**joined, "weight": batch["weight"]}

    def update_error_map(self, error: Float[Tensor, " R"]) -> None:
        """Records the errors of the pixels that were taken last; to be called after each step."""
        self._errors.append(error)

    def state(self) -> dict[str, Any]:
        """What sampling needs to go on exactly: the error map, the sampled pixels, and the errors of those taken."""
        pixels = {} if self._buffered is None else dict(vars(self._buffered))
        return {
            "error_map": self._pixels.error_map.clone(),
            "frame_numbers": self._cache.frame_numbers.clone(),
            "pixels": pixels,
            "errors": list(self._errors),
            "taken": self._taken,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restores `state`. Pixels are sampled anew if the cache has other frames than then."""
        device = self._cache.frame_numbers.device
        self._pixels.error_map.copy_(state["error_map"])
        same_frames = torch.equal(state["frame_numbers"].to(device), self._cache.frame_numbers)
        if same_frames and state["pixels"]:
            pixels = Pixels(**{name: values.to(device) for name, values in state["pixels"].items()})
            self._set_buffer(pixels, [errors.to(device) for errors in state["errors"]], state["taken"])

    def _refill(self, count: int) -> None:
        if self._buffered is not None and self._errors:
            errors = torch.cat(self._errors)
            self._pixels.update_error_map(self._buffered[: len(errors)], errors)
        self._set_buffer(self._pixels.draw(count, self._cache.frame_numbers), [], 0)

    def _set_buffer(self, pixels: Pixels, errors: list[Tensor], taken: int) -> None:
        self._buffered, self._errors, self._taken = pixels, errors, taken
        self._rays, self._batch = self._rays_and_batch(pixels)

    def _rays_and_batch(self, pixels: Pixels) -> tuple[RayBundle, Batch]:
        indices = torch.stack([self._cache.frame_numbers[pixels.slot], pixels.row, pixels.column], dim=-1)
        colours = self._cache.frames[pixels.slot, pixels.row, pixels.column]
        gate_mask = torch.stack([pixels.in_box[:, 3], pixels.in_box[:, 1:3].any(-1)], dim=-1)
        return pinhole_rays(self._cameras, indices), make_batch(indices, colours, pixels.weight, gate_mask)


def make_batch(
    indices: Int[Tensor, "R 3"],
    colours: UInt8[Tensor, "R 4"],
    weight: Float[Tensor, " S"],
    gate_mask: Bool[Tensor, "R 2"],
) -> Batch:
    """Returns the batch that rays are compared with; see `RayBuffer`."""
    values = colours.float() / 255
    return {"indices": indices, "image": values[:, :3], "mask": values[:, 3], "weight": weight, "gate_mask": gate_mask}
