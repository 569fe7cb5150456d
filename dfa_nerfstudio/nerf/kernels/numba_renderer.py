"""Renders the rays of one frame on a CPU by the compiled functions of `numba_kernel`."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.nerf.conditioned_field import ConditionedField
from dfa_nerfstudio.nerf.conditions import Conditions
from dfa_nerfstudio.nerf.coordinate_frames import Rays, SceneBounds
from dfa_nerfstudio.nerf.kernels.numba_field import constants, layer_weights, occupied_cells, view
from dfa_nerfstudio.nerf.kernels.numba_threads import array, divide, in_threads
from dfa_nerfstudio.nerf.log_once import log_once
from dfa_nerfstudio.nerf.marching import OccupancyGrid, RenderOutput


class NumbaRenderer:
    """Renders rays of one frame, in as many threads as torch uses.

    Numba compiles at first use, which takes ten seconds, and keeps the result on disk.
    """

    def __init__(
        self,
        field: ConditionedField,
        scene: SceneBounds,
        conditions: Conditions,
        num_samples: int,
        occupancy: OccupancyGrid | None,
        stop_below: float = 1e-2,
        min_weight: float = 1e-3,
    ) -> None:
        """
        Args:
            field: a field for which `numba_field.unavailable_reason` is None.
            scene: the rendered volume.
            conditions: conditions of the frame.
            num_samples: number of strata per ray.
            occupancy: cells that may contain the person; None queries the field everywhere.
            stop_below: transmittance below which a ray counts as opaque.
            min_weight: weight of a sample up to which its colour is left out.
        """
        self._kernel = _kernel()
        self._field = _field_arrays(self._kernel, field, conditions)
        self._view = view(scene)
        self._occupied, self._cells = occupied_cells(occupancy)
        self._limits = num_samples, np.float32(stop_below), np.float32(min_weight)

    def march(self, rays: Rays) -> RenderOutput:
        """Renders rays as `march` does outside training; a ray stops at the sample that makes it opaque."""
        out = torch.zeros(len(rays.frame), 7)
        values = out.numpy()

        def render(part: slice) -> int:
            return self._kernel.march(
                self._field,
                self._rays(rays, part),
                self._view,
                self._occupied,
                self._cells,
                *self._limits,
                values[part],
            )

        num_samples = sum(in_threads(render, divide(len(values))))
        return RenderOutput(out[:, :3], out[:, 3], out[:, 4], out[:, 5:], num_samples)

    def one_sample(
        self, rays: Rays, ray: Int[Tensor, " S"], opacity: Float[Tensor, " S"], distance: Float[Tensor, " S"]
    ) -> Float[Tensor, "S 7"]:
        """Composites one sample on each of S rays; see `depth_guided.one_sample`."""
        out = torch.empty(len(ray), 7)
        all_rays = self._rays(rays, slice(None))
        arrays = [array(ray), array(distance), array(opacity), out.numpy()]

        def shade(part: slice) -> None:
            self._kernel.shade(self._field, all_rays, self._view, *(values[part] for values in arrays))

        in_threads(shade, divide(len(ray)))
        return out

    def _rays(self, rays: Rays, part: slice) -> Any:
        shared = rays.head_origins.stride(0) == 0
        origins = rays.head_origins[:1] if shared else rays.head_origins[part]
        return self._kernel.RayArrays(array(origins), array(rays.head_directions[part]), array(rays.to_torso[0]))


@cache
def _kernel() -> ModuleType:
    """The compiled functions."""
    kernel = import_module("dfa_nerfstudio.nerf.kernels.numba_kernel")
    if not any(Path(kernel.march.stats.cache_path).glob("numba_kernel.march-*.nbi")):
        log_once("image renderer: compiled now, once, in ten to twenty seconds")
    return kernel


def _field_arrays(kernel: ModuleType, field: ConditionedField, conditions: Conditions) -> Any:
    """The field's weights as the functions read them, with the conditions of the frame added.

    They are packed for every image, because a change of the weights cannot be detected: fused optimisers do not
    increase their version counter.
    """
    width = field.config.width
    mouth, eye, pose, colour = field.encode_conditions(conditions)
    additions = [field.first.bias[None, :width] + pose, field.second.bias[None], field.colour.bias + colour, mouth, eye]
    warp = torch.zeros(0, 0, 3)
    if field.warp is not None:
        warp = field.warp.displacement(conditions.mouth).permute(1, 2, 0)
    tensors = {
        **layer_weights(field),
        "warp": warp,
        "additions": torch.cat(additions),
    }
    return kernel.FieldArrays(constants(field), **{name: array(values.float()) for name, values in tensors.items()})
