"""`dfa-nerf-lite`: for laptops without a GPU, and for tests."""

from __future__ import annotations

from nerfstudio.plugins.types import MethodSpecification

from dfa_nerfstudio.method_configs.common import trainer
from dfa_nerfstudio.nerf.model import DFANerfModelConfig

dfa_nerf_lite = MethodSpecification(
    config=trainer("dfa-nerf-lite", steps=4000, rays=4096, model=DFANerfModelConfig()),
    description="DFA-NeRF for laptops: minutes of training on a CPU at 128x128.",
)
