"""Registers a baseline method: `dfa-nerf-lite` with nerfstudio's torch hash encoding instead of our grids.

ns-train finds the method if `ENVIRONMENT` is in its environment.
"""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from nerfstudio.configs.method_configs import all_methods
from nerfstudio.field_components.encodings import HashEncoding
from nerfstudio.plugins.types import MethodSpecification
from torch import Tensor, nn

from dfa_nerfstudio.method_configs import dfa_nerf_lite
from dfa_nerfstudio.nerf.encodings import GridConfig

METHOD = "dfa-nerf-torch-hash"
ENVIRONMENT = {
    "NERFSTUDIO_METHOD_CONFIGS": f"{METHOD}=benchmarks.torch_hash:torch_hash",
    "PYTHONPATH": os.pathsep.join(
        filter(None, [str(Path(__file__).parents[1].resolve()), os.environ.get("PYTHONPATH")])
    ),
}


@dataclass
class TorchHashConfig(GridConfig):
    """nerfstudio's defaults: 16 levels of 2 features, 16 to 1024, 2^19 rows. `GridConfig`'s options have no effect."""

    _target: type = field(default_factory=lambda: TorchHash)


class TorchHash(nn.Module):
    """nerfstudio's hash encodings with the interface of `FeatureGrid`."""

    def __init__(self, config: TorchHashConfig, spaces: int = 1) -> None:
        super().__init__()
        del config
        self.encodings = nn.ModuleList(HashEncoding(implementation="torch") for _ in range(spaces))
        self.out_dim = sum(encoding.get_out_dim() for encoding in self.encodings)

    def forward(self, points: Float[Tensor, "spaces n 3"]) -> Float[Tensor, "n out_dim"]:
        unit = (points.clamp(-1, 1) + 1) / 2
        return torch.cat([encoding(place) for encoding, place in zip(self.encodings, unit, strict=True)], dim=-1)


def torch_hash() -> MethodSpecification:
    """Returns `dfa-nerf-lite` with the grids replaced."""
    config = copy.deepcopy(dfa_nerf_lite.config)
    config.method_name = METHOD
    config.pipeline.model.network.grid = TorchHashConfig()
    return MethodSpecification(config=config, description="dfa-nerf-lite with nerfstudio's torch hash encoding")


def register() -> None:
    """Registers the method in this process, so that it can open its checkpoints."""
    all_methods[METHOD] = torch_hash().config
