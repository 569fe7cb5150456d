"""Grids read by tiny-cuda-nn, where it is installed and the numbers are on a CUDA device."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.nerf.encodings.grid_layout import GridLayout


def encode(
    points: Float[Tensor, "grids n dims"], table: Float[Tensor, "grids entries features"], layout: GridLayout
) -> Float[Tensor, "n out"]:
    """As `torch_grid.encode`, in fp32."""
    reader = _reader(layout, points.device.index or 0)
    features = [
        torch.func.functional_call(reader, {"params": rows.flatten()}, (place,)).unflatten(1, (layout.levels, -1))
        for place, rows in zip(points.float(), table.float(), strict=True)
    ]  # each [n, levels, features]
    return torch.stack(features, dim=2).flatten(1)


@lru_cache
def _reader(layout: GridLayout, device: int) -> Any:
    """tiny-cuda-nn's own encoding; its parameters are never used, ours are put in their place at each call."""
    tinycudann = import_module("tinycudann")
    with torch.cuda.device(device):
        reader = tinycudann.Encoding(
            layout.dims,
            {
                "otype": "Grid",
                "type": "Hash",
                "n_levels": layout.levels,
                "n_features_per_level": layout.features,
                "log2_hashmap_size": layout.log2_table,
                "base_resolution": layout.min_resolution,
                "per_level_scale": layout.growth,
                "interpolation": "Linear",
            },
            dtype=torch.float32,
        ).to(torch.device("cuda", device))
    expected = layout.entries * layout.features
    if reader.params.numel() != expected:
        raise RuntimeError(f"tiny-cuda-nn lays out {reader.params.numel()} numbers where {expected} are expected")
    return reader
