"""`dfa-nerf-paper`: the paper's network in the same pipeline, as a baseline."""

from __future__ import annotations

from nerfstudio.plugins.types import MethodSpecification

from dfa_nerfstudio.method_configs.common import trainer
from dfa_nerfstudio.nerf.appearance_code import AppearanceConfig
from dfa_nerfstudio.nerf.background_model import BackgroundConfig
from dfa_nerfstudio.nerf.losses import LossConfig
from dfa_nerfstudio.nerf.model import DFANerfModelConfig
from dfa_nerfstudio.nerf.paper_field import PaperFieldConfig

dfa_nerf_paper = MethodSpecification(
    config=trainer(
        "dfa-nerf-paper",
        steps=600_000,
        rays=2048,
        networks_rate=5e-4,
        model=DFANerfModelConfig(
            network=PaperFieldConfig(),
            appearance=AppearanceConfig(dim=0),
            background=BackgroundConfig(learned=False),
            num_samples=64,
            occupancy_resolution=0,
            render_fraction=1,
            render_slabs=1,
            losses=LossConfig(gate_penalty=0.0),
        ),
    ),
    description="DFA-NeRF with the paper's 8x256 MLP, frequency encodings and 64 samples: slow, a baseline.",
)
