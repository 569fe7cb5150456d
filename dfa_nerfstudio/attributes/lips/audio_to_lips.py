"""The deterministic model from audio features to lips.

The paper's abstract: "lip movements are directly predicted from the audio inputs".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from dfa_nerfstudio.attributes.lips.running_statistics import running_statistics
from dfa_nerfstudio.attributes.lips.window_regression import WindowRegression
from dfa_nerfstudio.media.chunks import context_chunks


@dataclass
class AudioToLipsConfig:
    """Options of the lip model."""

    features: str = "speech"
    """Audio feature that lips are predicted from: `speech` (the package's speech encoder), `mfcc`, or another one that
    is registered."""
    num_components: int = 10
    """Number of lip components (`LipSpace`); ten hold 99 % of the variance of a person's lips."""
    num_features: int = 128
    """Number of principal components of the audio feature."""
    past: int = 4
    """Frames that the model reads before a frame."""
    look_ahead: int = 3
    """Frames that the model reads after a frame, beside those of the audio feature."""
    window_width: float = 2.5
    """Standard deviation, in frames, of the weights of these frames."""
    noise: float = 1.0
    """Variance of lip motion that audio does not explain, relative to the part that it explains."""
    max_frames: int = 2000
    """Largest number of training frames that support a regression; of a longer video, evenly spaced ones."""
    max_general_frames: int = 6000
    """The same for a model of many people."""
    folds: int = 4
    """Number of contiguous parts of the training frames that are predicted by models of the other parts. The spread of
    these predictions decides how far variance is restored; 0 restores none."""

    @property
    def inputs(self) -> tuple[str, int, int, int, float, int]:
        """What a model of many people and one of a person that corrects it must have in common."""
        window = self.past, self.look_ahead, self.window_width
        return self.features, self.num_features, *window, self.num_components


class AudioToLips(nn.Module):
    """Lip components of a person from audio features: those of a model of many people, corrected by the person's own.

    Features are standardised by the person's mean and standard deviation, which removes most of the difference between
    microphones, and reduced to principal components. Both parts are a `WindowRegression`; the second one is fitted to
    what the first one leaves.
    """

    feature_mean: Tensor
    """Mean of the audio feature over the training frames [F]."""
    feature_std: Tensor
    """Standard deviation of the audio feature over the training frames [F]."""
    basis: Tensor
    """Principal components of the standardised feature [D, F]."""
    change: Tensor
    """Linear map from the lip components of the model of many people to the person's [K, K]."""

    def __init__(self, config: AudioToLipsConfig, num_inputs: int) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("feature_mean", torch.zeros(num_inputs))
        self.register_buffer("feature_std", torch.ones(num_inputs))
        self.register_buffer("basis", torch.eye(num_inputs)[: config.num_features])
        self.register_buffer("change", torch.eye(config.num_components))
        window = config.past, config.look_ahead, config.window_width
        self.general = WindowRegression(*window, config.num_components)
        self.own = WindowRegression(*window, config.num_components)

    def set_statistics(self, features: Float[Tensor, "N F"]) -> None:
        """Sets mean and standard deviation of the audio feature from training frames."""
        self.feature_mean, self.feature_std = statistics(features)

    def set_basis(self, standardised: Float[Tensor, "N F"]) -> None:
        """Sets the principal components."""
        values, vectors = torch.linalg.eigh(standardised.double().T.cov())
        self.basis = vectors[:, values.argsort(descending=True)[: len(self.basis)]].T.float()

    def forward(self, reduced: Float[Tensor, "past+T+future D"]) -> Float[Tensor, "T K"]:
        """Predicts the lip components of T frames from principal components of the features, with context."""
        return self.general(reduced) @ self.change.T + self.own(reduced)

    @torch.no_grad()
    def stream(
        self, chunks: Iterable[Float[Tensor, "n F"]], voice: Iterable[Bool[Tensor, " n"]], lookahead_frames: int
    ) -> Iterator[Float[Tensor, "m K"]]:
        """Predicts the lip components of the next frames, `look_ahead` frames behind the features.

        The features are centred on their mean over the new audio, because another voice, microphone or language shifts
        them.

        Args:
            chunks: audio features.
            voice: whether someone speaks in each frame.
            lookahead_frames: see `running_statistics`.
        """
        prior = self.feature_mean, self.feature_std
        centred = running_statistics(chunks, voice, prior, lookahead_frames)
        reduced = (standardise(chunk, mean, self.feature_std) @ self.basis.T for chunk, mean, _ in centred)
        for context in context_chunks(reduced, self.config.past, self.config.look_ahead):
            yield self(context)

    def predict(self, features: Float[Tensor, "T F"]) -> Float[Tensor, "T K"]:
        """Predicts the lip components of a recording of the person."""
        nobody = torch.zeros(len(features), dtype=torch.bool)
        return torch.cat(list(self.stream([features], [nobody], 0)))


def statistics(features: Float[Tensor, "N F"]) -> tuple[Float[Tensor, " F"], Float[Tensor, " F"]]:
    """Mean and standard deviation of features over N frames."""
    return features.mean(0), features.std(0).clamp(min=1e-4)


def standardise(
    features: Float[Tensor, "*B F"], mean: Float[Tensor, " F"], std: Float[Tensor, " F"]
) -> Float[Tensor, "*B F"]:
    """Features with zero mean and unit variance, clamped to +-6."""
    return ((features - mean) / std).clamp(-6, 6)
