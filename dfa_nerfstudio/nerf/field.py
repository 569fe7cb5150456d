"""The conditioned field: section 3.5 of the paper, with two frames of reference in one network."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from nerfstudio.configs.base_config import InstantiateConfig
from nerfstudio.field_components.activations import trunc_exp
from torch import Tensor, nn

from dfa_nerfstudio.nerf.conditions import Conditions
from dfa_nerfstudio.nerf.encodings import TriPlane, TriPlaneConfig


@dataclass
class FieldOutput:
    """Of S samples."""

    density: Float[Tensor, " S"]
    rgb: Float[Tensor, "S 3"]
    audio_gate: Float[Tensor, " S"]
    """How much the audio counts at the sample, 0 to 1."""


@dataclass
class ConditionedFieldConfig(InstantiateConfig):
    """Size and conditions of a `ConditionedField`."""

    _target: type = field(default_factory=lambda: ConditionedField)
    head_planes: TriPlaneConfig = field(default_factory=TriPlaneConfig)
    """Features in head space."""
    torso_planes: TriPlaneConfig = field(default_factory=TriPlaneConfig)
    """Features in torso space."""
    width: int = 64
    """Width of the hidden layers."""
    condition_width: int = 32
    """Width of the small networks that digest f_a, f_e and the poses once per frame."""
    pose_in_density: bool = True
    """Lets head pose and torso motion move the shape, not only the colour."""


class ConditionedField(nn.Module):
    """F: (f_a, f_e, pose, x) -> (colour, density), Eq. 10.

    A sample is looked up in head space and in torso space; the network blends the two, so that there is no second
    network and no seam at the neck. Position gates how much f_a and f_e count. What depends on the frame alone is
    computed once per frame and added to the first layer.
    """

    def __init__(self, config: ConditionedFieldConfig, audio_dim: int, eye_dim: int) -> None:
        super().__init__()
        self.config = config
        self.head_planes = TriPlane(config.head_planes)
        self.torso_planes = TriPlane(config.torso_planes)
        width, inner = config.width, config.condition_width

        def per_frame(inputs: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(inputs, inner), nn.ReLU(), nn.Linear(inner, width))

        self.audio_net, self.eye_net = per_frame(audio_dim), per_frame(eye_dim)
        self.pose_net = per_frame(12 + 4)
        features = self.head_planes.out_dim + self.torso_planes.out_dim
        self.first = nn.Linear(features, width)
        self.gates = nn.Linear(features, 2)
        self.second = nn.Linear(width, width)
        self.density_head = nn.Linear(width, 1)
        self.colour = nn.Linear(width, width)
        self.colour_head = nn.Linear(width, 3)

    def forward(
        self,
        head_points: Float[Tensor, "S 3"],
        torso_points: Float[Tensor, "S 3"],
        frame: Int[Tensor, " S"],
        conditions: Conditions,
    ) -> FieldOutput:
        """
        Args:
            head_points: in [-1, 1]^3.
            torso_points: in [-1, 1]^3.
            frame: row of `conditions` per sample.
            conditions: of U frames.
        """
        features = torch.cat([self.head_planes(head_points), self.torso_planes(torso_points)], dim=-1)
        gates = torch.sigmoid(self.gates(features))
        audio, eye = self.audio_net(conditions.audio), self.eye_net(conditions.eye)  # [U, width]
        pose = self.pose_net(torch.cat([conditions.pose, conditions.torso], dim=-1)).index_select(0, frame)
        hidden = self.first(features)
        hidden = torch.addcmul(hidden, gates[:, :1], audio.index_select(0, frame))
        hidden = torch.addcmul(hidden, gates[:, 1:], eye.index_select(0, frame))
        if self.config.pose_in_density:
            hidden = hidden + pose
        hidden = F.relu(self.second(F.relu(hidden)))
        density = trunc_exp(self.density_head(hidden)[:, 0])
        hidden = self.colour(hidden)
        if not self.config.pose_in_density:
            hidden = hidden + pose
        rgb = torch.sigmoid(self.colour_head(F.relu(hidden)))
        return FieldOutput(density, rgb, gates[:, 0])
