"""Regression from windows of frames by a Gaussian process: its mean, in closed form."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

JITTER = 1e-4
"""Added to the diagonal of a kernel matrix, relative to the kernel's variance, so that it can be factorised."""
ROWS_AT_ONCE = 1000
"""Rows of a kernel matrix that are computed at once."""
SCALE_FRAMES = 1000
"""Largest number of frames whose distances decide the kernel's length scale."""


class WindowRegression(nn.Module):
    """K values of a frame from a window of the D features of it and its neighbours.

    Windows x are weighted, w_j f[t + j], and compared by k(x, y) = exp(-|x - y|^2 / s), where s is the median of
    |x - y|^2 over the training frames. The prediction is the mean of the Gaussian process given the training frames,
    k(x, X) (k(X, X) + noise I)^-1 Y. Of more than `max_frames` training frames, evenly spaced ones support the process,
    and all of them count (subset of regressors).
    """

    frames: Tensor
    """Features of the supporting frames and of their neighbours [R, D]."""
    centres: Tensor
    """Index of each supporting frame in `frames` [M]."""
    coefficients: Tensor
    """Coefficients of the kernels [M, K]."""
    mean: Tensor
    """Mean of the training values [K]."""
    scale: Tensor
    """s."""
    window: Tensor
    """w_j, of `past` frames before to `future` frames after a frame [W]."""

    def __init__(self, past: int, future: int, width: float, num_outputs: int) -> None:
        """
        Args:
            past: frames of a window before its frame.
            future: frames of a window after its frame.
            width: standard deviation in frames of the Gaussian w_j.
            num_outputs: K.
        """
        super().__init__()
        self.past = past
        self.register_buffer("frames", torch.zeros(0, 0))
        self.register_buffer("centres", torch.zeros(0, dtype=torch.long))
        self.register_buffer("coefficients", torch.zeros(0, num_outputs))
        self.register_buffer("mean", torch.zeros(num_outputs))
        self.register_buffer("scale", torch.tensor(1.0))
        window = torch.exp(-0.5 * (torch.arange(-past, future + 1) / width).square())
        self.register_buffer("window", window, persistent=False)
        self._support: tuple[Tensor, Tensor] | None = None
        """Windows of the supporting frames and their squared norms, which every prediction reads."""

    def windows(self, frames: Float[Tensor, "R D"], centres: Int[Tensor, " N"]) -> Float[Tensor, "N W*D"]:
        """The weighted windows around frames."""
        offsets = torch.arange(len(self.window), device=frames.device) - self.past
        return (frames[centres[:, None] + offsets] * self.window[:, None]).flatten(1)

    def fit(
        self,
        frames: Float[Tensor, "R D"],
        centres: Int[Tensor, " N"],
        values: Float[Tensor, "N K"],
        noise: float,
        max_frames: int,
    ) -> None:
        """Sets the Gaussian process to its mean given the training frames.

        Args:
            frames: features, with the context of all windows.
            centres: index of each training frame in `frames`.
            values: the training values.
            noise: variance of what the features do not explain, relative to the variance of the process.
            max_frames: largest number of supporting frames.
        """
        count = len(centres)
        chosen = evenly_spaced(count, max_frames)
        supporting = self.windows(frames, centres[chosen])
        some = supporting[evenly_spaced(len(chosen), SCALE_FRAMES)]
        self.scale = squared_distances(some, some).median().clamp(min=1e-6)
        self.mean = values.mean(0)
        targets = (values - self.mean).double()
        kernel = self._kernel(supporting, supporting).double()
        if len(chosen) == count:
            kernel.diagonal().add_(noise)
            solution = torch.cholesky_solve(targets, torch.linalg.cholesky(kernel))
        else:
            kernel.diagonal().add_(JITTER)
            root = torch.linalg.cholesky(kernel)
            inner = noise * torch.eye(len(chosen), dtype=torch.float64)
            right = torch.zeros(len(chosen), targets.shape[1], dtype=torch.float64)
            for part in torch.arange(count).split(ROWS_AT_ONCE):
                cross = self._kernel(supporting, self.windows(frames, centres[part])).double()
                reduced = torch.linalg.solve_triangular(root, cross, upper=False)
                inner.addmm_(reduced, reduced.T)
                right.addmm_(reduced, targets[part])
            solution = torch.cholesky_solve(right, torch.linalg.cholesky(inner))
            solution = torch.linalg.solve_triangular(root.T, solution, upper=True)
        self.coefficients = solution.float()
        needed, self.centres = compact(centres[chosen], self.past, len(self.window))
        self.frames, self._support = frames[needed].clone(), (supporting, supporting.square().sum(1))

    def forward(self, frames: Float[Tensor, "past+T+future D"]) -> Float[Tensor, "T K"]:
        """Predicts the values of T frames; zero before `fit`."""
        count = len(frames) - len(self.window) + 1
        if not len(self.centres):
            return self.mean.expand(count, -1)
        if self._support is None:
            points = self.windows(self.frames, self.centres)
            self._support = points, points.square().sum(1)
        inputs = self.windows(frames, self.past + torch.arange(count, device=frames.device))
        parts = [self._kernel(part, *self._support) @ self.coefficients for part in inputs.split(ROWS_AT_ONCE)]
        return self.mean + torch.cat(parts)

    def _kernel(
        self, first: Float[Tensor, "N P"], second: Float[Tensor, "M P"], norms: Float[Tensor, " M"] | None = None
    ) -> Float[Tensor, "N M"]:
        return squared_distances(first, second, norms).div_(-self.scale).exp_()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Takes the number of supporting frames from the file."""
        for name in ("frames", "centres", "coefficients"):
            if prefix + name in state_dict:
                setattr(self, name, torch.empty_like(state_dict[prefix + name]))
        self._support = None
        super()._load_from_state_dict(state_dict, prefix, *args)


def evenly_spaced(count: int, limit: int) -> Int[Tensor, " n"]:
    """At most `limit` of `count` indices, evenly spaced."""
    return torch.linspace(0, count - 1, min(count, limit)).long()


def squared_distances(
    first: Float[Tensor, "N P"], second: Float[Tensor, "M P"], norms: Float[Tensor, " M"] | None = None
) -> Float[Tensor, "N M"]:
    """Squared distances of all pairs, by one matrix product; `norms` are the squared norms of `second`."""
    squares = first.square().sum(1)[:, None] + (second.square().sum(1) if norms is None else norms)
    return torch.addmm(squares, first, second.T, alpha=-2).clamp_(min=0)


def compact(centres: Int[Tensor, " M"], past: int, length: int) -> tuple[Int[Tensor, " R"], Int[Tensor, " M"]]:
    """The frames that windows around `centres` read, and the index of each centre among them."""
    needed = (centres[:, None] + torch.arange(length) - past).unique()
    return needed, torch.searchsorted(needed, centres)
