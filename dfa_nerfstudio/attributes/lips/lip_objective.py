"""Training of the lip model on recordings: position, velocity and closures."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.attributes.lips.audio_to_lips import AudioToLips
from dfa_nerfstudio.attributes.objective import Objective
from dfa_nerfstudio.attributes.segments import random_windows


@dataclass
class LipSequence:
    """Recordings concatenated to T frames: the training data of the lip model."""

    features: Float[Tensor, "R F"]
    """Standardised speech features; those of each recording are extended at both ends by the model's context."""
    row: Int[Tensor, " T"]
    """Row of `features` of each frame."""
    lips: Float[Tensor, "T K"]
    """True lip components."""
    gap: Float[Tensor, " T"]
    """True gap between the lips, standardised within each recording."""
    gap_slope: Float[Tensor, "T K"]
    """Change of the standardised gap per unit of each lip component."""
    shot: Int[Tensor, " T"]
    """Shot number; the frames of one shot are consecutive. -1 marks invalid frames."""
    weight: Float[Tensor, " T"]
    """Relative sampling probability."""

    @classmethod
    def join(cls, parts: list[LipSequence]) -> LipSequence:
        """Concatenates sequences; shots of different sequences stay different."""
        rows, shots, num_rows, num_shots = [], [], 0, 0
        for part in parts:
            rows.append(part.row + num_rows)
            shots.append(torch.where(part.shot >= 0, part.shot + num_shots, -1))
            num_rows, num_shots = num_rows + len(part.features), max(num_shots, int(shots[-1].max()) + 1)
        names = ("features", "lips", "gap", "gap_slope", "weight")
        joined = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
        return cls(row=torch.cat(rows), shot=torch.cat(shots), **joined)


class LipObjective(Objective):
    """Squared errors of lip components, of their changes from frame to frame, and of the lip gap where lips are closed.

    The last term counts closures, because a squared error alone hardly punishes lips that stay a little open at m, p
    and b. Members are trained side by side, each on batches of its own.
    """

    features: Tensor
    row: Tensor
    lips: Tensor
    gap: Tensor
    gap_slope: Tensor
    shot: Tensor
    weight: Tensor

    def __init__(self, model: AudioToLips, train: LipSequence) -> None:
        super().__init__()
        self.model = model
        self.register_data(**vars(train))
        self.closed_gap = float(train.gap[train.shot >= 0].quantile(0.05))

    def training_loss(self, progress: float) -> dict[str, Tensor]:
        """Computes the three terms, each the mean over members."""
        config = self.model.config
        total = dict.fromkeys(("position", "velocity", "closures"), self.lips.new_zeros(()))
        for member in self.model.members:
            frames = random_windows(config.batch_size, config.segment_length, self.shot, self.weight)
            context = torch.arange(-self.model.past, config.segment_length + self.model.future, device=frames.device)
            features = self.features[self.row[frames[:, :1]] + context]
            error = member(features + config.noise * torch.randn_like(features)) - self.lips[frames]
            gap_error = (error * self.gap_slope[frames]).sum(-1)
            closed = torch.exp(-(self.gap[frames] - self.closed_gap).clamp(min=0) / config.closure_width)
            total["position"] = total["position"] + error.square().mean()
            total["velocity"] = total["velocity"] + config.velocity_weight * error.diff(dim=1).square().mean()
            total["closures"] = total["closures"] + config.closure_weight * (closed * gap_error.square()).mean()
        return {name: value / len(self.model.members) for name, value in total.items()}
