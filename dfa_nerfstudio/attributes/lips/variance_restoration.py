"""Restores the variance of lip motion that a regression loses: global variance, as in statistical speech synthesis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from dfa_nerfstudio.attributes.lips.running_statistics import running_statistics

MAX_GAIN = 1.5
"""Largest factor on a component: a component that audio hardly predicts is noise, and stays small."""


class VarianceRestoration(nn.Module):
    """Scales predicted lips so that each component has the true mean and standard deviation while someone speaks.

    A prediction that minimises a squared error moves less than the truth, by about its correlation, and never closes.
    The spread of predictions is measured on training frames that the model was not trained on, because on its own
    training frames it is too large. For new audio, which another person may speak, it is measured on the first minute
    of voiced frames, and updated with every further one; live, from the first one on.
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
        return self._scaled(lips, self.predicted_mean, self.predicted_std)

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
            lookahead_frames: see `running_statistics`.
        """
        prior = self.predicted_mean, self.predicted_std
        for chunk, mean, std in running_statistics(lips, voice, prior, lookahead_frames):
            yield self._scaled(chunk, mean, std)

    def _scaled(
        self, lips: Float[Tensor, "T K"], mean: Float[Tensor, "*T K"], std: Float[Tensor, "*T K"]
    ) -> Float[Tensor, "T K"]:
        """Gives lips of this mean and standard deviation those of the true ones, as far as `MAX_GAIN` allows."""
        return self.true_mean + (lips - mean) * (self.true_std / std.clamp(min=1e-6)).clamp(max=MAX_GAIN)
