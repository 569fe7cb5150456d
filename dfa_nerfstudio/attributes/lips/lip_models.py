"""Everything that turns speech features into a person's lips: f_m of each frame of any audio."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import tee

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from dfa_nerfstudio.attributes.lips.audio_to_lips import AudioToLips, AudioToLipsConfig
from dfa_nerfstudio.attributes.lips.gap_restoration import GapRestoration
from dfa_nerfstudio.attributes.lips.lip_config import LipConfig
from dfa_nerfstudio.attributes.lips.lip_space import LipSpace
from dfa_nerfstudio.attributes.lips.running_statistics import STATISTICS_FRAMES
from dfa_nerfstudio.attributes.lips.shape_projection import project_to_shapes
from dfa_nerfstudio.attributes.lips.variance_restoration import VarianceRestoration
from dfa_nerfstudio.media.chunks import sliding_windows

CLOSED_SHARE = 0.1
"""Share of the training frames, those with the smallest lip gap, whose median shape is that of the closed mouth."""


class LipModels(nn.Module):
    """The lip space, the model from speech features to it, and the restoration of variance and of the lip gap."""

    def __init__(self, config: AudioToLipsConfig, num_inputs: int) -> None:
        super().__init__()
        self.config = config
        self.space = LipSpace(config.num_components)
        self.predictor = AudioToLips(config, num_inputs)
        self.restoration = VarianceRestoration(config.num_components)
        self.gap_restoration = GapRestoration(config.num_components)

    def closed_shape(self, shapes: Float[Tensor, "N K"]) -> Float[Tensor, " K"]:
        """f_m of the closed mouth: the median of the shapes with the smallest lip gap."""
        gap = self.space.opening(shapes)
        return shapes[gap <= gap.quantile(CLOSED_SHARE)].median(0).values

    def stream(
        self,
        features: Iterable[Float[Tensor, "n F"]],
        voice: Iterable[Bool[Tensor, " n"]],
        shapes: Float[Tensor, "N K"],
        closed: Float[Tensor, " K"],
        config: LipConfig,
        live: bool = False,
    ) -> Iterator[Float[Tensor, "m K"]]:
        """Yields f_m of the next frames.

        Args:
            features: speech features in chunks of any length.
            voice: whether someone speaks in each frame.
            shapes: f_m of the person's training frames.
            closed: f_m of the closed mouth.
            config: post-processing.
            live: reads nothing ahead for the statistics of the audio.
        """
        lookahead = 0 if live else STATISTICS_FRAMES
        for_mean, for_variance = tee(voice)
        lips = smooth(self.predictor.stream(features, for_mean, lookahead), config.smooth_lips)
        if config.restore_variance:
            lips = self.restoration.stream(lips, for_variance, lookahead)
        lips = (project_to_shapes(chunk, shapes, config.lip_projection) for chunk in lips)
        if config.restore_variance:
            # after the projection, which is a mean of similar shapes and therefore never quite closed
            lips = (self.gap_restoration(chunk, self.space.opening(chunk)) for chunk in lips)
        return (torch.lerp(closed, chunk, config.mouth_amplitude) for chunk in lips)


def smooth(frames: Iterable[Float[Tensor, "n F"]], deviation: float) -> Iterator[Float[Tensor, "n F"]]:
    """Yields the frames, smoothed by a Gaussian of a standard deviation in frames; 0 leaves them unchanged.

    It is cut off at two standard deviations, because the rest changes nothing visible and would add latency.
    """
    if not deviation:
        yield from frames
        return
    radius = max(round(2 * deviation), 1)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / deviation).square())
    for window in sliding_windows(frames, radius, len(kernel)):
        yield window @ (kernel / kernel.sum())
