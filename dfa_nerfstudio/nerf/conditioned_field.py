"""The conditioned field: section 3.5 of the paper, with two coordinate frames in one network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from nerfstudio.configs.base_config import InstantiateConfig
from nerfstudio.field_components.activations import trunc_exp
from torch import Tensor, nn

from dfa_nerfstudio.nerf.conditions import Conditions
from dfa_nerfstudio.nerf.encodings import GridConfig
from dfa_nerfstudio.nerf.mouth_warp import MouthWarp

_CHUNK = 8192
"""Samples per evaluation when rendering on a CPU: the hidden layers then fit its cache, which is twice as fast."""
GATE_SLOPE = 6.0
"""Decrease of the initial gate logit per radius of distance from an ellipsoid's centre; it is 0 at the surface."""
GATE_LOGIT_LIMIT = 4.0
"""Largest magnitude of the initial gate logits."""
GATE_CUTOFF_RADII = 2.0
"""Distance from an ellipsoid's centre, in radii, beyond which a gate is zero whatever is learned; it falls linearly
over the radius before. An eye gate that is open at the mouth would let the field memorise each training frame's lips
from its f_e, and f_m would then have less influence."""


@dataclass
class FieldOutput:
    """Outputs of a field for S samples."""

    density: Float[Tensor, " S"]
    """Density per head space unit."""
    rgb: Float[Tensor, "S 3"]
    """Colour in [0, 1]."""
    gates: Float[Tensor, "S 2"]
    """Gates of mouth and eye condition at the sample, 0 to 1."""


@dataclass
class ConditionedFieldConfig(InstantiateConfig):
    """Sizes and inputs of a `ConditionedField`."""

    _target: type = field(default_factory=lambda: ConditionedField)
    grid: GridConfig = field(default_factory=GridConfig)
    """Feature grid of each coordinate frame."""
    spaces: Literal["both", "head", "torso"] = "both"
    """Coordinate frames: head space and torso space, or one of them."""
    width: int = 64
    """Width of the hidden layers."""
    condition_width: int = 64
    """Width of the small networks that encode f_m, f_e and the poses once per frame."""
    gates: Literal["landmarks", "learned", "none"] = "landmarks"
    """Gates that weight f_m and f_e by position. `landmarks`: they start open at the lower face and at the eyes, as
    located by landmarks, and stay closed beyond `GATE_CUTOFF_RADII`. `learned`: random start, no limit; training
    closes them before it finds lips and eyelids. `none`: always 1."""
    pose: Literal["density", "colour", "none"] = "density"
    """Outputs that depend on head pose and torso motion: density and colour, colour alone (as NeRF's view direction),
    or none."""
    warp_resolution: int = 16
    """Vertices along an axis of the grid that deforms head space around the mouth (`MouthWarp`); 0 deforms nothing."""
    torso_condition: bool = True
    """Conditions on the torso motion in addition to the head pose."""


class ConditionedField(nn.Module):
    """F: (f_m, f_e, pose, x) -> (colour, density), Eq. 10, with the lips f_m in the place of f_a.

    A sample's features are read in head space and in torso space, and one network blends them, so that there is no
    second network and no seam at the neck. Gates weight f_m and f_e by position. What depends on the frame alone is
    computed once per frame and added to the hidden layers.
    """

    regions: Tensor

    def __init__(
        self,
        config: ConditionedFieldConfig,
        mouth_dim: int,
        eye_dim: int,
        regions: Float[Tensor, "3 2 3"],
    ) -> None:
        """
        Args:
            config: sizes and inputs.
            mouth_dim: length of f_m.
            eye_dim: length of f_e.
            regions: centre and radii of ellipsoids around lower face, left and right eye, in the scene box scaled to
                [-1, 1]^3.
        """
        super().__init__()
        self.config = config
        self.register_buffer("regions", regions)
        self.grid = config.grid.setup(spaces=2 if config.spaces == "both" else 1)
        self.warp = None
        if config.warp_resolution and config.spaces != "torso":
            centre, radii = regions[0]
            region = torch.stack([centre, GATE_CUTOFF_RADII * radii])
            self.warp = MouthWarp(config.warp_resolution, mouth_dim, region)
        width, inner = config.width, config.condition_width

        def per_frame(inputs: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(inputs, inner), nn.ReLU(), nn.Linear(inner, width))

        self.mouth_net, self.eye_net = per_frame(mouth_dim), per_frame(eye_dim)
        self.pose_net = per_frame(12 + 4 * config.torso_condition) if config.pose != "none" else None
        # The gates are two more outputs of the first layer, so that the features are read once.
        self.first = nn.Linear(self.grid.out_dim, width + 2)
        if config.gates == "landmarks":
            nn.init.zeros_(self.first.weight[width:])
            nn.init.zeros_(self.first.bias[width:])
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
        """Returns density, colour and gates of S samples.

        Args:
            head_points: sample positions in head space, in [-1, 1]^3.
            torso_points: sample positions in torso space, in [-1, 1]^3.
            frame: row of `conditions` per sample.
            conditions: conditions of U frames.
        """
        warped = head_points if self.warp is None else self.warp(head_points, frame, conditions.mouth)
        points_of = {"both": [warped, torso_points], "head": [warped], "torso": [torso_points]}[self.config.spaces]
        points, per_frame = torch.stack(points_of), self.encode_conditions(conditions)
        if torch.is_grad_enabled() or points.is_cuda or len(frame) <= _CHUNK:
            return self.query(points, head_points, frame, *per_frame)
        chunks = zip(points.split(_CHUNK, dim=1), head_points.split(_CHUNK), frame.split(_CHUNK), strict=True)
        outputs = [self.query(*chunk, *per_frame) for chunk in chunks]
        return FieldOutput(*map(torch.cat, zip(*(vars(output).values() for output in outputs), strict=True)))

    def encode_conditions(
        self, conditions: Conditions
    ) -> tuple[Float[Tensor, "U W"], Float[Tensor, "U W"], Float[Tensor, "U W"], Float[Tensor, "U W"]]:
        """Encodes U frames' conditions as additions to hidden layers.

        Returns:
            additions by mouth (gated), eye feature (gated) and pose to the first layer, and by pose to the colour
            layer.
        """
        mouth, eye = self.mouth_net(conditions.mouth), self.eye_net(conditions.eye)
        hidden = colour = torch.zeros_like(mouth)
        if self.pose_net is not None:
            poses = [conditions.pose, conditions.torso] if self.config.torso_condition else [conditions.pose]
            pose = self.pose_net(torch.cat(poses, dim=-1))
            hidden, colour = (pose, colour) if self.config.pose == "density" else (hidden, pose)
        return mouth, eye, hidden, colour

    def query(
        self,
        points: Float[Tensor, "spaces S 3"],
        head_points: Float[Tensor, "S 3"],
        frame: Int[Tensor, " S"],
        mouth: Float[Tensor, "U W"],
        eye: Float[Tensor, "U W"],
        pose: Float[Tensor, "U W"],
        colour: Float[Tensor, "U W"],
    ) -> FieldOutput:
        if len(mouth) > 1:  # a single frame's row is broadcast
            mouth, eye = mouth.index_select(0, frame), eye.index_select(0, frame)
            pose, colour = pose.index_select(0, frame), colour.index_select(0, frame)
        hidden, gates = self.first(self.grid(points)).split([self.config.width, 2], dim=-1)
        gates = self._gates(gates, head_points).to(hidden.dtype)  # a float32 gate would promote the layers
        hidden = torch.addcmul(hidden + pose, gates[:, :1], mouth)
        hidden = torch.addcmul(hidden, gates[:, 1:], eye)
        hidden = F.relu(self.second(F.relu(hidden, inplace=True)), inplace=True)
        density = trunc_exp(self.density_head(hidden)[:, 0])
        rgb = torch.sigmoid(self.colour_head(F.relu(self.colour(hidden) + colour, inplace=True)))
        return FieldOutput(density, rgb, gates)

    def _gates(self, learned: Float[Tensor, "S 2"], head_points: Float[Tensor, "S 3"]) -> Float[Tensor, "S 2"]:
        """Gates of mouth and eye condition, 0 to 1."""
        if self.config.gates == "none":
            return torch.ones_like(learned)
        if self.config.gates == "learned":
            return torch.sigmoid(learned)
        centre, radii = self.regions.unbind(1)  # [3, 3]
        radius = ((head_points[:, None] - centre) / radii).norm(dim=-1)  # [S, 3], 1 on the ellipsoid
        radius = torch.stack([radius[:, 0], radius[:, 1:].amin(-1)], -1)
        prior = (GATE_SLOPE * (1 - radius)).clamp(-GATE_LOGIT_LIMIT, GATE_LOGIT_LIMIT)
        return torch.sigmoid(learned + prior) * (GATE_CUTOFF_RADII - radius).clamp(0, 1)
