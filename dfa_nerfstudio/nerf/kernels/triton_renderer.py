"""Rendering in one Triton kernel: marching, the field and compositing, for images of one frame on a GPU.

`march` queries the field for a list of samples, which takes about a hundred operations per image, each of which reads
and writes millions of numbers. Here a block of neighbouring rays is marched front to back in registers. It skips strata
that are empty for all of its rays and stops when all of them are opaque.
"""

from __future__ import annotations

from importlib import import_module

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dfa_nerfstudio.nerf.conditioned_field import ConditionedField
from dfa_nerfstudio.nerf.conditions import Conditions
from dfa_nerfstudio.nerf.coordinate_frames import Rays, SceneBounds
from dfa_nerfstudio.nerf.encodings.grid_backends import triton_unavailable_reason
from dfa_nerfstudio.nerf.marching.occupancy_grid import OccupancyGrid
from dfa_nerfstudio.nerf.marching.ray_marching import RenderOutput, cube_interval

_BLOCK, _WARPS = 64, 4
"""Rays per program, and warps per program."""
_MIN_MATRIX_SIDE = 16
"""Smallest matrix side that tensor cores multiply."""


def unavailable_reason(field: nn.Module, device: torch.device) -> str | None:
    """Why the kernel cannot render this field; None if it can."""
    if device.type != "cuda":
        return "no CUDA device"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return "the kernel needs a GPU of compute capability 8.0 or later"
    if (reason := triton_unavailable_reason()) is not None:
        return reason
    if not isinstance(field, ConditionedField) or field.grid.config.kind != "planes":
        return "the kernel needs a conditioned field on planes"
    sizes = (field.config.width, _padded_planes(field) * field.grid.config.features_per_level)
    if any(size & (size - 1) or size < _MIN_MATRIX_SIDE for size in sizes):
        return "the kernel needs widths and features that are powers of two"
    return None


def render(
    field: ConditionedField,
    scene: SceneBounds,
    conditions: Conditions,
    num_samples: int,
    occupancy: OccupancyGrid | None,
    rays: Rays,
    stop_below: float = 1e-2,
) -> RenderOutput:
    """Renders rays as `march` does outside training, with layers in half precision and sums in fp32.

    Args:
        field: a field for which `unavailable_reason` is None.
        scene: the rendered volume.
        conditions: conditions of one frame.
        num_samples: number of strata per ray.
        occupancy: cells that may contain the person; None queries the field everywhere.
        rays: R rays, all of that frame.
        stop_below: transmittance below which a ray counts as opaque.
    """
    kernel = import_module("dfa_nerfstudio.nerf.kernels.triton_kernel")
    triton_grid = import_module("dfa_nerfstudio.nerf.encodings.triton_grid")
    near, far = cube_interval(rays.head_origins, rays.head_directions)
    *layers, biases = _weights(field)
    layout, count = field.grid.layout, len(near)
    out = near.new_empty(count, 8)
    view = near.new_tensor([0.0, 0.0, scene.near, scene.far])
    view[:2] = scene.half_extent
    config = field.config
    kernel.render_rays[(-(-count // _BLOCK),)](
        torch.stack([rays.head_origins, rays.head_directions], 1).contiguous(),
        torch.stack([rays.torso_origins, rays.torso_directions], 1).contiguous(),
        torch.stack([near, (far - near) / num_samples], -1),
        (near.new_ones(1, dtype=torch.bool) if occupancy is None else occupancy.occupied).view(torch.uint8),
        view,
        field.grid.table,
        *triton_grid.level_tensors(layout, near.device),
        field.regions,
        *_warp(field, conditions),
        *layers,
        _frame_vectors(field, conditions),
        biases,
        out,
        count,
        layout.num_levels,
        layout.entries,
        field.grid.margin,
        stop_below,
        SAMPLES=num_samples,
        CELLS=0 if occupancy is None else occupancy.resolution,
        PLANES=len(field.grid.table),
        GRIDS=_padded_planes(field),
        FEATURES=layout.features_per_level,
        WIDTH=config.width,
        GATED=config.gates != "none",
        GATE_PRIOR=config.gates == "landmarks",
        WARP=0 if field.warp is None else config.warp_resolution,
        TORSO_ONLY=config.spaces == "torso",
        BLOCK=_BLOCK,
        num_warps=_WARPS,
    )
    return RenderOutput(out[:, :3], out[:, 3], out[:, 4], out[:, 5:7], out[:, 7].sum())


def _weights(
    field: ConditionedField,
) -> tuple[
    Float[Tensor, "levels inputs W"],
    Float[Tensor, "levels inputs 2"],
    Float[Tensor, "W W"],
    Float[Tensor, "W W"],
    Float[Tensor, "6"],
]:
    """Packs first layer, gates, second and colour layer, and biases of gates and heads for the kernel.

    They are packed for every image, because a change of the weights cannot be detected: fused optimisers do not
    increase their version counter.
    """
    width, layout = field.config.width, field.grid.layout
    grids, padded = len(field.grid.table), _padded_planes(field)
    first = field.first.weight.t().unflatten(
        0, (layout.num_levels, grids, layout.features_per_level)
    )  # [levels, grids, F, W + 2]
    first = nn.functional.pad(first, (0, 0, 0, 0, 0, padded - grids)).flatten(1, 2)
    biases = [field.first.bias[width:], field.density_head.bias, field.colour_head.bias]
    return (
        first[..., :width].half().contiguous(),
        first[..., width:].float().contiguous(),
        field.second.weight.t().half().contiguous(),
        field.colour.weight.t().half().contiguous(),
        torch.cat(biases).float(),
    )


def _warp(
    field: ConditionedField, conditions: Conditions
) -> tuple[Float[Tensor, "R R 3"] | Float[Tensor, "1"], Float[Tensor, "2 3"]]:
    """Displacement of head space in the frame, and its region; of any content if the field has no warp."""
    if field.warp is None:
        return field.regions.new_zeros(1), field.regions[0]
    moved = field.warp.displacement(conditions.mouth).permute(1, 2, 0)
    return moved.float().contiguous(), field.warp.region


def _frame_vectors(field: ConditionedField, conditions: Conditions) -> Float[Tensor, "9 W"]:
    """Additions to the three layers, additions by audio and eyes, and the heads' weights."""
    mouth, eye, pose, colour = field.encode_conditions(conditions)
    layers = [field.first.bias[None, : field.config.width] + pose, field.second.bias[None], field.colour.bias + colour]
    return torch.cat([*layers, mouth, eye, field.density_head.weight, field.colour_head.weight])


def _padded_planes(field: ConditionedField) -> int:
    """Number of planes, rounded up to a power of two."""
    return 1 << (len(field.grid.table) - 1).bit_length()
