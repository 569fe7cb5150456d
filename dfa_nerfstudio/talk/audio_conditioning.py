"""Streams the audio features that condition head motion and the field, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, tee

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.data.audio_features import AudioFeature, AudioSource
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.chunks import sliding_windows, zip_chunks
from dfa_nerfstudio.media.mfcc import stream_mfcc
from dfa_nerfstudio.media.mfcc_statistics import MfccStatistics
from dfa_nerfstudio.media.rates import MFCC_PER_FRAME
from dfa_nerfstudio.media.vad import stream_voice_activity
from dfa_nerfstudio.talk.talk_config import AudioConditioningConfig

STATISTICS_ROWS = 6000
"""Number of MFCC rows (10 ms each, so 60 s) from which a recording's statistics are measured; half of it when live."""
PRIOR_ROWS = 1000
"""Number of MFCC rows (10 s) over which live statistics move from the training video's to the recording's own."""
SILENCE_WINDOW = 28
"""Length, in rows of 10 ms, of the window around a frame that decides whether the frame is silent."""
CLOSING_START, CLOSING_END = 0.6, 1.0
"""Share of unvoiced rows in that window at which the mouth starts to close, and at which it is closed."""


class AudioConditioner:
    """Computes f_a for the motion models and the audio feature that conditions the field.

    Each recording is normalised by its own MFCC statistics. They are measured on its first minute, which is read
    before the first frame. Live, they are measured on the audio so far, starting from those of the training video.
    """

    def __init__(
        self,
        models: AttributeModels,
        closed_mouth: Float[Tensor, " F"],
        config: AudioConditioningConfig,
        live: bool = False,
    ) -> None:
        """
        Args:
            models: the person's attribute models.
            closed_mouth: audio feature for which the field renders a closed mouth; `Renderer.closed_mouth_feature`.
            config: post-processing of that feature.
            live: minimises latency: reads no audio ahead that a frame does not need.
        """
        self.models, self.closed_mouth, self.config, self.live = models, closed_mouth, config, live

    def stream(
        self,
        audio: Iterable[Float32[np.ndarray, " S"]],
        feature: AudioFeature | None = None,
        num_frames: int | None = None,
    ) -> Iterator[tuple[Float[Tensor, "n A"], Float[Tensor, "n F"]]]:
        """Yields f_a and the field's audio feature for the next n frames.

        Args:
            audio: 16 kHz mono, in chunks of any length.
            feature: the audio feature that the field was trained on; None for f_a.
            num_frames: number of frames, where it is known.

        Raises:
            UserError: if the audio is too short or silent throughout, or the feature cannot be computed.
        """
        for_mfcc, for_voice, for_feature = tee(audio, 3)
        mfcc, mfcc_for_feature = tee(self._normalised(stream_mfcc(for_mfcc)))
        encoded = self.models.audio.stream(mfcc)
        f_a, conditions = tee(encoded if self.live else self._long_enough(encoded))
        if feature is not None:
            conditions = feature.stream(AudioSource(for_feature, mfcc_for_feature, num_frames))
        del for_feature, mfcc_for_feature  # a copy that nobody reads would keep all of the audio
        if self.config.smooth_lips:
            conditions = _smoothed(conditions, self.config.smooth_lips)
        if self.config.close_in_silence:
            voice = stream_voice_activity(for_voice, lookahead_rows=0 if self.live else STATISTICS_ROWS)
            conditions = (
                torch.lerp(chunk, self.closed_mouth, closing)
                for chunk, closing in zip_chunks(conditions, _closing_weight(voice))
            )
        yield from zip_chunks(f_a, conditions)

    def _normalised(self, mfcc: Iterable[Float32[np.ndarray, "R D"]]) -> Iterator[Float[Tensor, "R D"]]:
        """Yields MFCC rows, normalised by the recording's statistics."""
        prior, read = self.models.clip_statistics, np.zeros((0, self.models.sizes["num_coefficients"]), np.float32)
        statistics: MfccStatistics | None = None
        for chunk in chain(mfcc, [None]):
            if self.live and chunk is not None:
                read = np.concatenate([read, chunk])[-STATISTICS_ROWS // 2 :]
                statistics = _running_statistics(prior, read)
            elif statistics is None:
                read = read if chunk is None else np.concatenate([read, chunk])
                if chunk is not None and (len(read) < STATISTICS_ROWS or not np.ptp(read[:, 0])):
                    continue  # too few rows yet, or all of them silent
                chunk, statistics = read, MfccStatistics.from_mfcc(read)
            if chunk is not None:
                yield torch.from_numpy(statistics.normalise(chunk)).float()

    def _long_enough(self, frames: Iterable[Float[Tensor, "n A"]]) -> Iterator[Float[Tensor, "n A"]]:
        """Yields the frames unchanged.

        Raises:
            UserError: if they are fewer than one window of the audio encoder.
        """
        window = self.models.config.audio.window
        first, min_frames = torch.zeros(0), -(-window // MFCC_PER_FRAME)
        for chunk in frames:
            if len(first) < min_frames:
                first = torch.cat([first, chunk]) if len(first) else chunk
                if len(first) >= min_frames:
                    yield first
            else:
                yield chunk
        if len(first) < min_frames:
            raise UserError(f"the audio is shorter than one window of {window * 10} ms; give longer audio")


def _running_statistics(prior: MfccStatistics, mfcc: Float32[np.ndarray, "R D"]) -> MfccStatistics:
    """Blends the training video's statistics into those of the recording so far, by its length up to `PRIOR_ROWS`."""
    try:
        own = MfccStatistics.from_mfcc(mfcc)
    except UserError:
        return prior
    share = min(len(mfcc) / PRIOR_ROWS, 1.0)
    return MfccStatistics(prior.mean + share * (own.mean - prior.mean), prior.std + share * (own.std - prior.std))


def _closing_weight(voice: Iterable[Bool[np.ndarray, " R"]]) -> Iterator[Float[Tensor, "n 1"]]:
    """Yields the blend weight of the closed mouth per frame, 0 to 1, ramped over several frames to avoid a jump."""
    unvoiced = (torch.from_numpy(~chunk).float() for chunk in voice)
    for window in sliding_windows(unvoiced, SILENCE_WINDOW // 2, SILENCE_WINDOW, MFCC_PER_FRAME):
        yield ((window.mean(-1, keepdim=True) - CLOSING_START) / (CLOSING_END - CLOSING_START)).clamp(0, 1)


def _smoothed(frames: Iterable[Float[Tensor, "n F"]], deviation: float) -> Iterator[Float[Tensor, "n F"]]:
    """Yields the frames, smoothed by a Gaussian.

    It is cut off at two standard deviations, because the rest changes nothing visible and would add latency.
    """
    radius = max(round(2 * deviation), 1)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / deviation).square())
    for window in sliding_windows(frames, radius, len(kernel)):
        yield window @ (kernel / kernel.sum())
