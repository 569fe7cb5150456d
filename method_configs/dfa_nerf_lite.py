"""`dfa-nerf-lite`: for computers without a GPU, and for tests."""

from __future__ import annotations

from nerfstudio.plugins.types import MethodSpecification

from dfa_nerfstudio.method_configs.common import trainer
from dfa_nerfstudio.nerf.model import DFANerfModelConfig

dfa_nerf_lite = MethodSpecification(
    config=trainer(
        "dfa-nerf-lite",
        steps=8000,
        rays=512,
        networks_rate=1e-2,
        samples_per_step=8192,
        model=DFANerfModelConfig(),
    ),
    description="DFA-NeRF for laptops: minutes of training on a CPU at 128x128.",
)
