"""A conditioned field as the functions that numba compiles read it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor, nn

from dfa_nerfstudio.nerf.conditioned_field import (
    GATE_CUTOFF_RADII,
    GATE_LOGIT_LIMIT,
    GATE_SLOPE,
    ConditionedField,
)
from dfa_nerfstudio.nerf.coordinate_frames import SceneBounds
from dfa_nerfstudio.nerf.kernels import VECTOR
from dfa_nerfstudio.nerf.kernels.numba_threads import array
from dfa_nerfstudio.nerf.marching import OccupancyGrid

PARTS = "dfa_nerfstudio.nerf.kernels.numba_parts"
"""Imported when it is needed: numba takes a quarter of a second."""


def unavailable_reason(field: nn.Module) -> str | None:
    """Why the compiled functions cannot evaluate this field; None if they can."""
    if not isinstance(field, ConditionedField) or field.grid.config.kind != "planes":
        return "compiled functions need a conditioned field on planes"
    if field.grid.table.dtype != torch.float32:
        return "compiled functions need single precision"
    layout = field.grid.layout
    if layout.features_per_level % VECTOR:
        return f"compiled functions need a multiple of {VECTOR} features per level"
    if not all(level.dense for level in layout.levels):
        return "compiled functions need planes without a spatial hash"
    return None


def constants(field: ConditionedField) -> Any:
    """What neither training nor a frame changes, as `numba_parts.Constants`."""
    spaces = {"both": (0, 1), "head": (0,), "torso": (1,)}[field.config.spaces]
    config, grid, levels = field.config, field.grid, field.grid.layout.levels
    has_prior = config.gates == "landmarks"
    moved = field.regions[:0] if field.warp is None else field.warp.region[None]
    return import_module(PARTS).Constants(
        levels=np.array([(level.offset, level.resolution) for level in levels]),
        scales=np.array([level.scale for level in levels], np.float32),
        axes=np.array([[3 * space + axis for axis in pair] for space in spaces for pair in grid.axes]),
        margin=np.float32(grid.margin),
        regions=array(field.regions),
        moved_region=array(moved),
        gated=config.gates != "none",
        gate_slope=np.float32(GATE_SLOPE if has_prior else 0),
        gate_limit=np.float32(GATE_LOGIT_LIMIT),
        gate_cutoff=np.float32(GATE_CUTOFF_RADII if has_prior else np.inf),
    )


def view(scene: SceneBounds) -> Any:
    """The scene as `numba_parts.View`."""
    return import_module(PARTS).View(*map(np.float32, (scene.near, scene.far, *scene.half_extent.tolist())))


def occupied_cells(occupancy: OccupancyGrid | None) -> tuple[Bool[np.ndarray, " cells^3"], int]:
    """Cells that may contain the person, and their number along an axis; 0 if all space counts as occupied."""
    return (np.ones(1, bool), 0) if occupancy is None else (occupancy.occupied.numpy(), occupancy.resolution)


def layer_weights(field: ConditionedField) -> dict[str, Tensor]:
    """Weights of the layers, as `numba_kernel.FieldArrays` and `numba_training_kernel.Weights` name them."""
    width = field.config.width
    return {
        "table": field.grid.table,
        "first": field.first.weight[:width].t(),
        "gates": field.first.weight[width:],
        "second": field.second.weight.t(),
        "colour": field.colour.weight.t(),
        "heads": torch.cat([field.density_head.weight, field.colour_head.weight]),
        "biases": torch.cat([field.first.bias[width:], field.density_head.bias, field.colour_head.bias]),
    }
