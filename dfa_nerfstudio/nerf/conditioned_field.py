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
LEAN, FARTHEST = 6.0, 4.0
"""How fast the gates' logits fall from within an ellipsoid to outside of it, and how far."""
SHUT = 2.0
"""Radii at which gates are shut, whatever is learned; they begin to be a radius before that. Through a gap at the mouth
the lips of the training frames could be learnt by heart from their f_e, and the sound be listened to less."""


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
    gates: Literal["landmarks", "learned", "none"] = "landmarks"
    """How position decides how much f_a and f_e count: learned around where landmarks put the lower face and the eyes,
    learned from nothing, or not at all. From nothing, gates shut before lips and lids are found."""
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

    regions: Tensor

    def __init__(
        self,
        config: ConditionedFieldConfig,
        audio_dim: int,
        eye_dim: int,
        appearance_dim: int,
        regions: Float[Tensor, "3 2 3"],
    ) -> None:
        """
        Args:
            config: size and conditions.
            audio_dim: of f_a.
            eye_dim: of f_e.
            appearance_dim: of the appearance code.
            regions: centre and radii of ellipsoids around lower face, left and right eye, in units of the cube.
        """
        super().__init__()
        self.config = config
        self.register_buffer("regions", regions)
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
        """
        Args:
            head_points: in [-1, 1]^3.
            torso_points: in [-1, 1]^3.
            frame: row of `conditions` per sample.
            conditions: of U frames.
        """
        places = {"both": [head_points, torso_points], "head": [head_points], "torso": [torso_points]}
        points = torch.stack(places[self.config.spaces])
        per_frame = self.digest(conditions)
        if torch.is_grad_enabled() or points.is_cuda or len(frame) <= _CHUNK:
            return self._ask(points, head_points, frame, *per_frame)
        pieces = zip(points.split(_CHUNK, dim=1), head_points.split(_CHUNK), frame.split(_CHUNK), strict=True)
        answers = [self._ask(*piece, *per_frame) for piece in pieces]
        return FieldOutput(*map(torch.cat, zip(*(vars(answer).values() for answer in answers), strict=True)))

    def digest(
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
        head_points: Float[Tensor, "S 3"],
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
        gates = self._open(gates, head_points).to(hidden.dtype)  # whole numbers would make the wide layers whole too
        hidden = torch.addcmul(hidden + shape, gates[:, :1], audio)
        hidden = torch.addcmul(hidden, gates[:, 1:], eye)
        hidden = F.relu(self.second(F.relu(hidden, inplace=True)), inplace=True)
        density = trunc_exp(self.density_head(hidden)[:, 0])
        rgb = torch.sigmoid(self.colour_head(F.relu(self.colour(hidden) + colour, inplace=True)))
        return FieldOutput(density, rgb, gates)

    def _open(self, learned: Float[Tensor, "S 2"], head_points: Float[Tensor, "S 3"]) -> Float[Tensor, "S 2"]:
        """Gates of audio and eyes, 0 to 1."""
        if self.config.gates == "none":
            return torch.ones_like(learned)
        if self.config.gates == "learned":
            return torch.sigmoid(learned)
        centre, radii = self.regions.unbind(1)  # [3, 3]
        away = ((head_points[:, None] - centre) / radii).norm(dim=-1)  # [S, 3], 1 at the rim
        away = torch.stack([away[:, 0], away[:, 1:].amin(-1)], -1)
        lean = (LEAN * (1 - away)).clamp(-FARTHEST, FARTHEST)
        return torch.sigmoid(learned + lean) * (SHUT - away).clamp(0, 1)
