"""`dfa-nerf`: full quality, for a GPU."""

from __future__ import annotations

from nerfstudio.plugins.types import MethodSpecification

from dfa_nerfstudio.method_configs.common import trainer
from dfa_nerfstudio.nerf.conditioned_field import ConditionedFieldConfig
from dfa_nerfstudio.nerf.encodings import GridConfig
from dfa_nerfstudio.nerf.model import DFANerfModelConfig

dfa_nerf = MethodSpecification(
    config=trainer(
        "dfa-nerf",
        steps=20_000,
        rays=8192,
        samples_per_step=1 << 18,
        networks_rate=1e-2,
        mixed_precision=True,
        model=DFANerfModelConfig(
            network=ConditionedFieldConfig(
                grid=GridConfig(num_levels=6, max_resolution=512),
                width=128,
            ),
            num_samples=8,
            occupancy_resolution=64,
            eval_num_rays_per_chunk=1 << 18,
        ),
    ),
    description="Talking heads by disentangled face attributes (DFA-NeRF): full quality, for a GPU.",
)
