"""Grid lookup by tiny-cuda-nn, where it is installed and the tensors are on a CUDA device."""

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
    """Same as `torch_grid.encode`, in fp32."""
    encoding = _encoding(layout, points.device.index or 0)
    features = [
        torch.func.functional_call(encoding, {"params": rows.flatten()}, (coordinates,)).unflatten(
            1, (layout.num_levels, -1)
        )
        for coordinates, rows in zip(points.float(), table.float(), strict=True)
    ]  # each [n, levels, features]
    return torch.stack(features, dim=2).flatten(1)


@lru_cache
def _encoding(layout: GridLayout, device: int) -> Any:
    """tiny-cuda-nn's encoding for a layout; its own parameters are replaced by the table at each call."""
    tinycudann = import_module("tinycudann")
    with torch.cuda.device(device):
        encoding = tinycudann.Encoding(
            layout.dims,
            {
                "otype": "Grid",
                "type": "Hash",
                "n_levels": layout.num_levels,
                "n_features_per_level": layout.features_per_level,
                "log2_hashmap_size": layout.log2_hashmap_size,
                "base_resolution": layout.min_resolution,
                "per_level_scale": layout.growth,
                "interpolation": "Linear",
            },
            dtype=torch.float32,
        ).to(torch.device("cuda", device))
    expected = layout.entries * layout.features_per_level
    if encoding.params.numel() != expected:
        raise RuntimeError(
            f"tiny-cuda-nn has {encoding.params.numel()} parameters for this layout, expected {expected}"
        )
    return encoding
