"""The paper's own network, for comparisons in the same pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from nerfstudio.configs.base_config import InstantiateConfig
from nerfstudio.field_components.encodings import NeRFEncoding
from torch import Tensor, nn

from dfa_nerfstudio.nerf.conditioned_field import FieldOutput
from dfa_nerfstudio.nerf.conditions import Conditions


@dataclass
class PaperFieldConfig(InstantiateConfig):
    """Size of a `PaperField`."""

    _target: type = field(default_factory=lambda: PaperField)
    layers: int = 8
    """Number of layers of the trunk."""
    width: int = 256
    """Width of the trunk's layers."""
    position_frequencies: int = 10
    """Number of octaves of the position's frequency encoding."""
    pose_frequencies: int = 4
    """Number of octaves of the frequency encoding of the pose, which replaces the view direction."""
    torso_space: bool = False
    """Whether the position in torso space is another input of the trunk; in the paper it is not."""
    bfloat16: bool = False
    """Whether layers are computed in bfloat16, 2.2 times as fast on CPUs with instructions for it."""


class PaperField(nn.Module):
    """An MLP of f_a, f_e and the encoded position in head space; the head pose replaces NeRF's view direction.

    It has one coordinate frame: only the pose distinguishes the torso from the head, and only in the colour.
    """

    def __init__(
        self,
        config: PaperFieldConfig,
        mouth_dim: int,
        eye_dim: int,
        regions: Float[Tensor, "3 2 3"],
    ) -> None:
        """Takes the arguments of `ConditionedField`; regions are not used."""
        super().__init__()
        del regions
        self.config = config
        self.encode_position = NeRFEncoding(
            3, config.position_frequencies, 0.0, config.position_frequencies - 1.0, include_input=True
        )
        self.encode_pose = NeRFEncoding(
            12, config.pose_frequencies, 0.0, config.pose_frequencies - 1.0, include_input=True
        )
        num_positions = 2 if config.torso_space else 1
        inputs = num_positions * self.encode_position.get_out_dim() + mouth_dim + eye_dim
        self.skip = config.layers // 2
        self.trunk = nn.ModuleList(
            nn.Linear(
                inputs if layer == 0 else config.width + (inputs if layer == self.skip else 0),
                config.width,
            )
            for layer in range(config.layers)
        )
        self.density_head = nn.Linear(config.width, 1)
        self.bottleneck = nn.Linear(config.width, config.width)
        self.colour = nn.Linear(config.width + self.encode_pose.get_out_dim(), config.width // 2)
        self.colour_head = nn.Linear(config.width // 2, 3)

    def forward(
        self,
        head_points: Float[Tensor, "S 3"],
        torso_points: Float[Tensor, "S 3"],
        frame: Int[Tensor, " S"],
        conditions: Conditions,
    ) -> FieldOutput:
        """Same as `ConditionedField.forward`; gates are 1."""
        with torch.autocast(head_points.device.type, torch.bfloat16, enabled=self.config.bfloat16):
            density, colour = self._layers(head_points, torso_points, frame, conditions)
        gates = torch.ones(len(frame), 2, device=density.device)
        return FieldOutput(F.relu(density.float()[:, 0] + 0.5), torch.sigmoid(colour.float()), gates)

    def _layers(
        self,
        head_points: Float[Tensor, "S 3"],
        torso_points: Float[Tensor, "S 3"],
        frame: Int[Tensor, " S"],
        conditions: Conditions,
    ) -> tuple[Float[Tensor, "S 1"], Float[Tensor, "S 3"]]:
        condition = torch.cat([conditions.mouth, conditions.eye], dim=-1)  # f_c
        positions = [head_points, torso_points] if self.config.torso_space else [head_points]
        inputs = torch.cat([*map(self.encode_position, positions), condition[frame]], dim=-1)
        hidden = inputs
        for index, layer in enumerate(self.trunk):
            if index == self.skip and index > 0:
                hidden = torch.cat([hidden, inputs.to(hidden.dtype)], dim=-1)
            hidden = F.relu(layer(hidden))
        pose = self.encode_pose(conditions.pose)[frame]
        bottleneck = self.bottleneck(hidden)
        colour = F.relu(self.colour(torch.cat([bottleneck, pose.to(bottleneck.dtype)], dim=-1)))
        return self.density_head(hidden), self.colour_head(colour)
