"""Extrapolates motion by decaying velocities."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dfa_nerfstudio.attributes.segments import windows_within_shot

LAGS = (1, 3)
"""Frames over which velocities are measured."""
TIME_CONSTANTS = (3.0, 10.0)
"""Time constants of the decay of velocities, in frames."""
PRIOR_FRAMES = 32
"""Prior strength in pseudo-frames."""


class VelocityExtrapolation(nn.Module):
    """Extrapolates motion: h(t) = h(0) + sum over k, s of w[k, s] (h(0) - h(-k)) (1 - exp(-t / s)).

    The weights w are fitted by least squares. There are four per channel, which a minute of video determines. Only
    velocities are inputs, because the position of a head hardly predicts where it moves next.
    """

    weights: Tensor
    """Weights w of each channel [C, lags, time constants]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("weights", torch.zeros(channels, len(LAGS), len(TIME_CONSTANTS)))

    def forward(self, beginning: Float[Tensor, "N tau C"], length: int) -> Float[Tensor, "N T C"]:
        """Extends a beginning of four frames or more to `length` frames, the beginning included."""
        last, tau = beginning[:, -1:], beginning.shape[1]
        decay = _decay_curves(length - tau).to(last)
        change = torch.einsum("nck,cks,st->ntc", _velocities(beginning), self.weights, decay)
        return torch.cat([beginning, last + change], 1)

    @torch.no_grad()
    def fit(self, motion: Float[Tensor, "T C"], shot: Int[Tensor, " T"], horizon: int) -> None:
        """Fits the weights to the next `horizon` frames of training frames. The current weights, zeros at first, are a
        prior of the strength of `PRIOR_FRAMES` frames. Nothing changes if no shot is long enough."""
        tau, window = max(LAGS) + 1, max(LAGS) + 1 + horizon
        allowed = windows_within_shot(shot, window) if len(motion) >= window else torch.zeros(0, dtype=torch.bool)
        if not allowed.any():
            return
        windows = motion.unfold(0, window, 1)[allowed].transpose(1, 2).double()  # [N, window, C]
        change = windows[:, tau:] - windows[:, tau - 1 : tau]
        unit = change.square().mean(0).sqrt().clamp(min=1e-3)  # [horizon, C]: the error of predicting no motion
        velocities, decay = _velocities(windows[:, :tau]), _decay_curves(horizon).double()
        for c, prior_weights in enumerate(self.weights.double()):
            basis = decay / unit[:, c]  # [S, horizon]
            moment = velocities[:, c].T @ velocities[:, c]
            prior = PRIOR_FRAMES / len(windows) * moment.diagonal().diag()
            left = torch.kron(moment + prior + 1e-9 * torch.eye(len(LAGS)), basis @ basis.T)
            targets = velocities[:, c].T @ (change[:, :, c] / unit[:, c]) @ basis.T
            right = targets + prior @ prior_weights @ (basis @ basis.T)
            self.weights[c] = torch.linalg.solve(left, right.flatten()).unflatten(0, prior_weights.shape).float()


def _velocities(beginning: Float[Tensor, "N tau C"]) -> Float[Tensor, "N C K"]:
    """Change of the last frame from the frames `LAGS` before it."""
    return torch.stack([beginning[:, -1] - beginning[:, -1 - lag] for lag in LAGS], -1)


def _decay_curves(length: int) -> Float[Tensor, "S T"]:
    """Relative distance covered by a velocity that decays with each time constant."""
    time = torch.arange(1, length + 1)
    return torch.stack([1 - torch.exp(-time / constant) for constant in TIME_CONSTANTS])
