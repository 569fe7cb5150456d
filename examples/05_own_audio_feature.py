"""Own audio feature: the loudness of eight frequency bands, from which lips are then predicted.

Example:
    python examples/05_own_audio_feature.py data/me

It trains the attribute models of the dataset folder anew. A renderer that was trained on the former ones needs a new
training. Another process that uses the models must import this module too, because a checkpoint records the name of
its feature; a package registers it by an entry point (docs/extend.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
import tyro
from jaxtyping import Float
from torch import Tensor

import dfa_nerfstudio as dfa
from dfa_nerfstudio.data.attribute_track import FeatureKind
from dfa_nerfstudio.data.audio_features import AudioSource, register_audio_feature
from dfa_nerfstudio.media.chunks import sliding_windows
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE

NUM_BANDS = 8


@register_audio_feature
class BandLoudness:
    """Loudness of each video frame in eight frequency bands, 0 to 8 kHz, in dB."""

    NAME, NEEDS_FILE = "band_loudness", False
    kind = FeatureKind(NAME, 1, "8 bands")

    def stream(self, source: AudioSource) -> Iterator[Float[Tensor, "n 8"]]:
        """Yields a row for each frame of audio that has arrived."""
        num_samples = int(SAMPLE_RATE / FRAME_RATE)
        chunks = (torch.from_numpy(chunk) for chunk in source.audio)
        for windows in sliding_windows(chunks, 0, num_samples, num_samples):  # [n, num_samples]
            power = torch.fft.rfft(windows * torch.hann_window(num_samples)).abs().square()[:, 1:]
            bands = power.unflatten(1, (NUM_BANDS, -1)).mean(-1)
            yield 10 * bands.clamp(min=1e-10).log10()


def main(folder: tyro.conf.Positional[Path], step_multiplier: float = 1.0) -> None:
    """Trains the attribute models on the feature; the table at the end says how well lips are predicted from it.

    Args:
        folder: a dataset folder.
        step_multiplier: factor on the training steps of the attribute models.
    """
    config = dfa.AttributesConfig(step_multiplier=step_multiplier, progress=False)
    config.models.lips = replace(config.models.lips, features=BandLoudness.NAME)
    dfa.train_attributes(folder, config)


if __name__ == "__main__":
    tyro.cli(main)
