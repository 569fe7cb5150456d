"""Restores the variance of lip motion that a regression loses: global variance, as in statistical speech synthesis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from dfa_nerfstudio.media.chunks import zip_chunks

MAX_GAIN = 1.5
"""Largest factor on a component: a component that audio hardly predicts is noise, and stays small."""
PRIOR_FRAMES = 100.0
"""Number of voiced frames (4 s) after which statistics of new audio weigh as much as those of the training video."""
STATISTICS_FRAMES = 1500
"""Number of voiced frames (60 s) of a recording from which its statistics are measured before its first frame."""


class VarianceRestoration(nn.Module):
    """Scales predicted lips so that each component has the true mean and standard deviation while someone speaks.

    A prediction that minimises a squared error moves less than the truth, by about its correlation, and never closes.
    The spread of predictions is measured on training frames that the model was not trained on, because on its own
    training frames it is too large. For new audio, which another person may speak, it is measured on the first minute
    of voiced frames, and updated with every further one; live, from the first one on. Silence, noise and music do not
    count, so lips do not depend on what precedes the words.
    """

    true_mean: Tensor
    """Mean of the true components in voiced training frames [K]."""
    true_std: Tensor
    """Their standard deviation [K]."""
    predicted_mean: Tensor
    """Mean of the cross-fitted predictions in the same frames [K]."""
    predicted_std: Tensor
    """Their standard deviation [K]."""

    def __init__(self, num_components: int) -> None:
        super().__init__()
        for name in ("true_mean", "predicted_mean"):
            self.register_buffer(name, torch.zeros(num_components))
        for name in ("true_std", "predicted_std"):
            self.register_buffer(name, torch.ones(num_components))

    def fit(self, true: Float[Tensor, "N K"], predicted: Float[Tensor, "N K"]) -> None:
        """Sets the statistics from true and cross-fitted components of the voiced training frames."""
        self.true_mean, self.true_std = true.mean(0), true.std(0)
        self.predicted_mean, self.predicted_std = predicted.mean(0), predicted.std(0).clamp(min=1e-6)

    def restore(self, lips: Float[Tensor, "T K"]) -> Float[Tensor, "T K"]:
        """Restores the variance by the statistics of the training frames."""
        gain = (self.true_std / self.predicted_std).clamp(max=MAX_GAIN)
        return self.true_mean + (lips - self.predicted_mean) * gain

    def stream(
        self,
        lips: Iterable[Float[Tensor, "n K"]],
        voice: Iterable[Bool[Tensor, " n"]],
        lookahead_frames: int,
    ) -> Iterator[Float[Tensor, "m K"]]:
        """Restores the variance of predictions by the statistics of the voiced frames so far.

        Args:
            lips: predicted components.
            voice: whether someone speaks in each frame.
            lookahead_frames: voiced frames that are read before the first frame is yielded, so that the first words
                are scaled by the statistics of the recording too; 0 for live audio.
        """
        mean, std = self.predicted_mean.double(), self.predicted_std.double()
        count = torch.full((1,), PRIOR_FRAMES, dtype=torch.float64)
        total, squares = count * mean, count * (mean.square() + std.square())
        pending: list[Tensor] = []
        for chunk, voiced in zip_chunks(lips, voice):
            counted = chunk.double() * voiced[:, None]
            counts = count + voiced.double().cumsum(0)[:, None]
            statistics = counts, total + counted.cumsum(0), squares + (counted * chunk).cumsum(0)
            num_before = int((counts < PRIOR_FRAMES + lookahead_frames).sum())
            if num_before:
                pending.append(chunk[:num_before])
            if num_before < len(chunk):
                if pending:
                    yield self._scaled(torch.cat(pending), *(values[num_before] for values in statistics))
                    pending = []
                yield self._scaled(chunk[num_before:], *(values[num_before:] for values in statistics))
            count, total, squares = (values[-1] for values in statistics)
        if pending:
            yield self._scaled(torch.cat(pending), count, total, squares)

    def _scaled(
        self,
        lips: Float[Tensor, "T K"],
        count: Float[Tensor, "*T 1"],
        total: Float[Tensor, "*T K"],
        squares: Float[Tensor, "*T K"],
    ) -> Float[Tensor, "T K"]:
        """Scales lips by the number, the sum and the sum of squares of predictions."""
        mean = total / count
        gain = (self.true_std / (squares / count - mean.square()).clamp(min=1e-12).sqrt()).clamp(max=MAX_GAIN)
        return (self.true_mean + (lips - mean) * gain).float()
