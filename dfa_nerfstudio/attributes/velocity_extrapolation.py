"""How a head goes on by itself: the velocities it has, dying away."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dfa_nerfstudio.attributes.segments import whole_windows

LAGS = (1, 3)
"""Frames over which velocities are taken."""
REST = (3.0, 10.0)
"""Time constants in frames with which they die away."""
DOUBT = 32
"""Frames' worth of what is known beforehand."""


class Momentum(nn.Module):
    """Continues motion by least squares: h(t) = h(0) + sum over k, s of w[k, s] (h(0) - h(-k)) (1 - exp(-t / s)).

    Four weights for each channel, which a minute of film tells, and of nothing but velocities: where a head is says
    little of where it goes, since it takes one posture after the other.
    """

    weights: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("weights", torch.zeros(channels, len(LAGS), len(REST)))

    def forward(self, beginning: Float[Tensor, "N tau C"], length: int) -> Float[Tensor, "N T C"]:
        """The beginning, four frames or more, and what follows it up to `length` frames."""
        last, tau = beginning[:, -1:], beginning.shape[1]
        ways = torch.einsum("nck,cks,st->ntc", _velocities(beginning), self.weights, _ways(length - tau).to(last))
        return torch.cat([beginning, last + ways], 1)

    @torch.no_grad()
    def learn(self, motion: Float[Tensor, "T C"], shot: Int[Tensor, " T"], ahead: int) -> None:
        """Fits the weights to what followed in training frames within `ahead` frames; what is known already, zeros at
        first, counts like `DOUBT` frames. Nothing changes where no shot is long enough."""
        tau, window = max(LAGS) + 1, max(LAGS) + 1 + ahead
        whole = whole_windows(shot, window) if len(motion) >= window else torch.zeros(0, dtype=torch.bool)
        if not whole.any():
            return
        windows = motion.unfold(0, window, 1)[whole].transpose(1, 2).double()  # [N, window, C]
        change = windows[:, tau:] - windows[:, tau - 1 : tau]
        unit = change.square().mean(0).sqrt().clamp(min=1e-3)  # [ahead, C]: what standing still is wrong by
        velocities, ways = _velocities(windows[:, :tau]), _ways(ahead).double()
        for c, known in enumerate(self.weights.double()):
            path = ways / unit[:, c]  # [S, ahead]
            moment = velocities[:, c].T @ velocities[:, c]
            doubt = DOUBT / len(windows) * moment.diagonal().diag()
            left = torch.kron(moment + doubt + 1e-9 * torch.eye(len(LAGS)), path @ path.T)
            right = velocities[:, c].T @ (change[:, :, c] / unit[:, c]) @ path.T + doubt @ known @ (path @ path.T)
            self.weights[c] = torch.linalg.solve(left, right.flatten()).unflatten(0, known.shape).float()


def _velocities(beginning: Float[Tensor, "N tau C"]) -> Float[Tensor, "N C K"]:
    return torch.stack([beginning[:, -1] - beginning[:, -1 - lag] for lag in LAGS], -1)


def _ways(length: int) -> Float[Tensor, "S T"]:
    time = torch.arange(1, length + 1)
    return torch.stack([1 - torch.exp(-time / rest) for rest in REST])
