"""The conditioned field: section 3.5 of the paper, with two frames of reference in one network."""

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

_CHUNK = 8192
"""Samples at once when rendering on a CPU: the hidden layers then stay in its cache, twice as fast."""


@dataclass
class FieldOutput:
    """Of S samples."""

    density: Float[Tensor, " S"]
    rgb: Float[Tensor, "S 3"]
    gates: Float[Tensor, "S 2"]
    """How much the audio and the eyes count at the sample, 0 to 1."""


@dataclass
class ConditionedFieldConfig(InstantiateConfig):
    """Size and conditions of a `ConditionedField`."""

    _target: type = field(default_factory=lambda: ConditionedField)
    grid: GridConfig = field(default_factory=GridConfig)
    """Features in each frame of reference."""
    spaces: Literal["both", "head", "torso"] = "both"
    """Frames of reference: head space and torso space, or one alone."""
    width: int = 64
    """Width of the hidden layers."""
    condition_width: int = 32
    """Width of the small networks that digest f_a, f_e and the poses once per frame."""
    gates: bool = True
    """Position decides how much f_a and f_e count; without it they count alike everywhere."""
    pose: Literal["density", "colour", "none"] = "density"
    """What head pose and torso motion may change: shape and colour, colour alone as a view direction does, or
    nothing."""
    torso_condition: bool = True
    """Conditions on the torso's own motion beside the head pose."""
    appearance: bool = False
    """Lets the appearance code change the person's colour too. It can then learn every frame's lips by heart, and the
    sound is listened to less."""


class ConditionedField(nn.Module):
    """F: (f_a, f_e, pose, x) -> (colour, density), Eq. 10.

    A sample is looked up in head space and in torso space; the network blends the two, so that there is no second
    network and no seam at the neck. Position gates how much f_a and f_e count. What depends on the frame alone is
    computed once per frame and added to the hidden layers.
    """

    def __init__(self, config: ConditionedFieldConfig, audio_dim: int, eye_dim: int, appearance_dim: int) -> None:
        super().__init__()
        self.config = config
        self.grid = config.grid.setup(spaces=2 if config.spaces == "both" else 1)
        width, inner = config.width, config.condition_width

        def per_frame(inputs: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(inputs, inner), nn.ReLU(), nn.Linear(inner, width))

        self.audio_net, self.eye_net = per_frame(audio_dim), per_frame(eye_dim)
        self.pose_net = per_frame(12 + 4 * config.torso_condition) if config.pose != "none" else None
        self.appearance_net = (
            nn.Linear(appearance_dim, width, bias=False) if config.appearance and appearance_dim else None
        )
        # The gates are two further outputs of the first layer: the features are read once.
        self.first = nn.Linear(self.grid.out_dim, width + 2)
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
        places = {"both": [head_points, torso_points], "head": [head_points], "torso": [torso_points]}
        points = torch.stack(places[self.config.spaces])
        per_frame = self._digest(conditions)
        if torch.is_grad_enabled() or points.is_cuda or len(frame) <= _CHUNK:
            return self._ask(points, frame, *per_frame)
        pieces = zip(points.split(_CHUNK, dim=1), frame.split(_CHUNK), strict=True)
        answers = [self._ask(piece, frames, *per_frame) for piece, frames in pieces]
        return FieldOutput(*map(torch.cat, zip(*(vars(answer).values() for answer in answers), strict=True)))

    def _digest(
        self, conditions: Conditions
    ) -> tuple[Float[Tensor, "U W"], Float[Tensor, "U W"], Float[Tensor, "U W"], Float[Tensor, "U W"]]:
        """What audio, eyes, and pose add to the hidden layer, and what pose or appearance add to the colour's."""
        audio, eye = self.audio_net(conditions.audio), self.eye_net(conditions.eye)
        shape = colour = torch.zeros_like(audio)
        if self.pose_net is not None:
            moved = [conditions.pose, conditions.torso] if self.config.torso_condition else [conditions.pose]
            pose = self.pose_net(torch.cat(moved, dim=-1))
            shape, colour = (pose, colour) if self.config.pose == "density" else (shape, pose)
        if self.appearance_net is not None:
            colour = colour + self.appearance_net(conditions.appearance)
        return audio, eye, shape, colour

    def _ask(
        self,
        points: Float[Tensor, "spaces S 3"],
        frame: Int[Tensor, " S"],
        audio: Float[Tensor, "U W"],
        eye: Float[Tensor, "U W"],
        shape: Float[Tensor, "U W"],
        colour: Float[Tensor, "U W"],
    ) -> FieldOutput:
        if len(audio) > 1:  # a single frame's row is broadcast
            audio, eye = audio.index_select(0, frame), eye.index_select(0, frame)
            shape, colour = shape.index_select(0, frame), colour.index_select(0, frame)
        hidden, gates = self.first(self.grid(points)).split([self.config.width, 2], dim=-1)
        gates = torch.sigmoid(gates) if self.config.gates else torch.ones_like(gates)
        hidden = torch.addcmul(hidden + shape, gates[:, :1], audio)
        hidden = torch.addcmul(hidden, gates[:, 1:], eye)
        hidden = F.relu(self.second(F.relu(hidden, inplace=True)), inplace=True)
        density = trunc_exp(self.density_head(hidden)[:, 0])
        rgb = torch.sigmoid(self.colour_head(F.relu(self.colour(hidden) + colour, inplace=True)))
        return FieldOutput(density, rgb, gates)
