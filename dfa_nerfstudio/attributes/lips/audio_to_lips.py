"""The deterministic model from audio features to lips.

The paper's abstract: "lip movements are directly predicted from the audio inputs".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from dfa_nerfstudio.attributes.objective import FitConfig
from dfa_nerfstudio.media.chunks import context_chunks
from dfa_nerfstudio.media.speech.time_convolution import TimeConvolution


@dataclass
class AudioToLipsConfig:
    """Options of the lip model and its training."""

    features: str = "speech"
    """Audio feature that lips are predicted from: `speech` (the package's speech encoder), `mfcc`, or another one that
    is registered."""
    num_components: int = 10
    """Number of lip components (`LipSpace`); ten hold 99 % of the variance of a person's lips."""
    width: int = 128
    """Number of channels."""
    kernel: int = 5
    """Kernel size of the two convolutions over time, in frames."""
    look_ahead: int = 2
    """Frames that the model reads ahead, beside those of the speech features."""
    num_members: int = 2
    """Number of networks whose mean is the prediction."""
    dropout: float = 0.3
    """Dropout rate of inputs and hidden layers."""
    noise: float = 0.3
    """Standard deviation of Gaussian noise on the inputs in training."""
    velocity_weight: float = 2.0
    """Weight of the squared error of frame-to-frame changes."""
    closure_weight: float = 1.0
    """Weight of the squared error of the lip gap in frames with closed lips, in units of the gap's variance."""
    closure_width: float = 0.3
    """Gap, in standard deviations above the smallest gaps, over which `closure_weight` falls to 1/e."""
    batch_size: int = 16
    """Segments per step."""
    segment_length: int = 48
    """Frames per segment."""
    folds: int = 3
    """Number of contiguous parts of the training frames that are predicted by models of the other parts. The spread of
    these predictions decides how far variance is restored; 0 restores none."""
    pretrain_factor: float = 3.0
    """Factor on the steps when the model is trained on many people."""
    fit: FitConfig = field(default_factory=lambda: FitConfig(steps=350, learning_rate=2e-3, weight_decay=0.05))
    """Training options."""


class LipNetwork(nn.Module):
    """A residual 1-D CNN over frames, without padding."""

    def __init__(self, config: AudioToLipsConfig, num_inputs: int) -> None:
        super().__init__()
        width = config.width
        self.first = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(num_inputs, width))
        self.convolutions = nn.ModuleList(TimeConvolution(width, width, config.kernel) for _ in range(2))
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(width, config.num_components)
        self.ahead = [config.look_ahead - config.look_ahead // 2, config.look_ahead // 2]

    def forward(self, features: Float[Tensor, "B past+T+future F"]) -> Float[Tensor, "B T K"]:
        """Computes the lip components of T frames from features that include the context at both ends."""
        hidden = F.relu(self.first(features))
        for layer, ahead in zip(self.convolutions, self.ahead, strict=True):
            assert isinstance(layer, TimeConvolution)
            own = hidden[:, layer.reach - ahead : hidden.shape[1] - ahead]
            hidden = own + self.dropout(F.relu(layer(hidden)))
        return self.output(hidden)


class AudioToLips(nn.Module):
    """The mean of several `LipNetwork`: standardised speech features to lip components."""

    mean: Tensor
    """Mean of the speech features over the training frames [F]."""
    std: Tensor
    """Standard deviation of the speech features over the training frames [F]."""

    def __init__(self, config: AudioToLipsConfig, num_inputs: int) -> None:
        super().__init__()
        self.config = config
        self.members = nn.ModuleList(LipNetwork(config, num_inputs) for _ in range(config.num_members))
        self.register_buffer("mean", torch.zeros(num_inputs))
        self.register_buffer("std", torch.ones(num_inputs))

    @property
    def past(self) -> int:
        """Frames of context before a frame."""
        return 2 * (self.config.kernel - 1) - self.future

    @property
    def future(self) -> int:
        """Frames of context after a frame."""
        return self.config.look_ahead

    def set_statistics(self, features: Float[Tensor, "N F"]) -> None:
        """Sets mean and standard deviation of the speech features from training frames."""
        self.mean, self.std = features.mean(0), features.std(0).clamp(min=1e-4)

    def standardise(self, features: Float[Tensor, "*B F"]) -> Float[Tensor, "*B F"]:
        """Features with zero mean and unit variance over the training frames, clamped to +-6."""
        return ((features - self.mean) / self.std).clamp(-6, 6)

    def forward(self, features: Float[Tensor, "B past+T+future F"]) -> Float[Tensor, "B T K"]:
        """The mean prediction of all members, of standardised features with context."""
        return torch.stack([member(features) for member in self.members]).mean(0)

    @torch.no_grad()
    def stream(self, chunks: Iterable[Float[Tensor, "n F"]]) -> Iterator[Float[Tensor, "m K"]]:
        """Predicts the lip components of the next frames, `future` frames behind the features."""
        for context in context_chunks(chunks, self.past, self.future):
            yield self(self.standardise(context)[None])[0]

    def predict(self, features: Float[Tensor, "T F"]) -> Float[Tensor, "T K"]:
        """Predicts the lip components of a recording."""
        return torch.cat(list(self.stream([features])))

    @torch.no_grad()
    def warm_start(self, other: AudioToLips, change: Float[Tensor, "K J"]) -> None:
        """Copies the weights of a model of the same configuration, and maps its output to another lip space."""
        self.load_state_dict(other.state_dict())
        for member in self.members:
            output = member.get_submodule("output")
            assert isinstance(output, nn.Linear)
            output.weight.copy_(change @ output.weight)
            output.bias.copy_(change @ output.bias)
