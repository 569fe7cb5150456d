"""Streams f_a, which head motion follows, and the condition of the mouth, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import tee
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.lips.lip_models import smooth
from dfa_nerfstudio.data.audio_features import AudioFeature, AudioSource, audio_feature_from_option
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.chunks import sliding_windows, zip_chunks
from dfa_nerfstudio.media.mfcc import stream_mfcc
from dfa_nerfstudio.media.mfcc_statistics import MfccStatistics
from dfa_nerfstudio.media.rates import MFCC_PER_FRAME
from dfa_nerfstudio.media.vad import PAUSE_ROWS, stream_voice_activity
from dfa_nerfstudio.talk.talk_config import AudioConditioningConfig

OwnCondition = Literal["lips", "f_a"]
"""Conditions of the mouth that the attribute models compute."""
STATISTICS_ROWS = 6000
"""Number of MFCC rows (10 ms each, so 60 s) near voice from which a recording's statistics are measured; half of it
when live."""
NEAR_VOICE_ROWS = PAUSE_ROWS
"""Rows after the last voiced one that still count as near voice: pauses between words belong to speech."""
MIN_STATISTICS_ROWS = 100
"""Fewer rows near voice than this are no speech, and statistics are those of all rows."""
PRIOR_ROWS = 1000
"""Number of MFCC rows (10 s) over which live statistics move from the training video's to the recording's own."""
SILENCE_WINDOW = 28
"""Length, in rows of 10 ms, of the window around a frame that decides whether the frame is silent."""
CLOSING_START, CLOSING_END = 0.6, 1.0
"""Share of unvoiced rows in that window at which the mouth starts to close, and at which it is closed."""


class AudioConditioner:
    """Computes f_a for the motion models, and the lips or the audio feature that condition the field.

    For f_a, each recording is normalised by its own MFCC statistics. They are measured on the first minute near voice,
    which is read before the first frame. Live, they are measured on the audio so far, starting from those of the
    training video.
    """

    def __init__(
        self,
        models: AttributeModels,
        closed_mouth: Float[Tensor, " M"],
        config: AudioConditioningConfig,
        live: bool = False,
    ) -> None:
        """
        Args:
            models: the person's attribute models.
            closed_mouth: condition for which the field renders a closed mouth; `Renderer.closed_mouth_feature`.
            config: post-processing of that feature.
            live: minimises latency: reads no audio ahead that a frame does not need.
        """
        self.models, self.closed_mouth, self.config, self.live = models, closed_mouth, config, live

    def stream(
        self,
        audio: Iterable[Float32[np.ndarray, " S"]],
        condition: AudioFeature | OwnCondition,
        num_frames: int | None = None,
    ) -> Iterator[tuple[Float[Tensor, "n A"], Float[Tensor, "n M"]]]:
        """Yields f_a and the condition of the mouth for the next n frames.

        Args:
            audio: 16 kHz mono, in chunks of any length.
            condition: what the renderer was trained on: lips f_m, f_a, or an audio feature.
            num_frames: number of frames, where it is known.

        Raises:
            UserError: if the audio is too short or silent throughout, or the feature cannot be computed.
        """
        for_mfcc, for_voice, for_feature = tee(audio, 3)
        voice = stream_voice_activity(for_voice, lookahead_rows=0 if self.live else STATISTICS_ROWS)
        for_statistics, for_lips, for_closing = tee(voice, 3)
        mfcc, mfcc_for_feature = tee(self._normalised(stream_mfcc(for_mfcc), for_statistics))
        encoded = self.models.audio.stream(mfcc)
        f_a, conditions = tee(encoded if self.live else self._long_enough(encoded))
        if condition != "f_a":
            feature = self.lip_feature if isinstance(condition, str) else condition
            conditions = _stream_feature(feature, AudioSource(for_feature, mfcc_for_feature, num_frames))
        if condition == "lips":
            conditions = self.models.stream_lips(conditions, _voiced_frames(for_lips), self.config, self.live)
        else:
            conditions = smooth(conditions, self.config.smooth_lips)
            conditions = (torch.lerp(self.closed_mouth, chunk, self.config.mouth_amplitude) for chunk in conditions)
        if self.config.close_in_silence:
            conditions = _close_in_silence(conditions, self.closed_mouth, for_closing)
        del for_feature, mfcc_for_feature, for_lips, for_closing  # copies that nobody reads would keep all of the audio
        yield from zip_chunks(f_a, conditions)

    @cached_property
    def lip_feature(self) -> AudioFeature:
        """The audio feature that lips are predicted from.

        Raises:
            UserError: if it is not the one that the lip model was trained on.
        """
        option, trained = self.models.config.lips.features, self.models.sizes["speech_kind"]
        feature = audio_feature_from_option(option)
        if str(feature.kind) != trained:
            raise UserError(
                f"the lip model was trained on {trained}, but `{option}` now computes {feature.kind}; "
                "run dfa-attributes again"
            )
        return feature

    def _normalised(
        self, mfcc: Iterable[Float32[np.ndarray, "R D"]], voice: Iterable[Bool[np.ndarray, " R"]]
    ) -> Iterator[Float[Tensor, "R D"]]:
        """Yields MFCC rows, normalised by the statistics of the rows near voice.

        Noise, music or silence before the words therefore changes nothing. Audio in which nobody speaks is normalised
        by all of its rows.
        """
        prior = self.models.clip_statistics
        near, pending = np.zeros((0, self.models.sizes["num_coefficients"]), np.float32), []
        statistics: MfccStatistics | None = None
        since_voice = NEAR_VOICE_ROWS + 1
        for chunk, voiced in zip_chunks(mfcc, voice):
            rows = np.arange(1, len(chunk) + 1)
            last = np.maximum.accumulate(np.where(voiced, rows, 0))
            distance = np.where(last > 0, rows - last, rows + since_voice)
            since_voice = int(distance[-1])
            if self.live:
                near = np.concatenate([near, chunk[distance <= NEAR_VOICE_ROWS]])[-STATISTICS_ROWS // 2 :]
                yield _rows(_running_statistics(prior, near), chunk)
            elif statistics is not None:
                yield _rows(statistics, chunk)
            else:
                near = np.concatenate([near, chunk[distance <= NEAR_VOICE_ROWS]])
                pending.append(chunk)
                if len(near) >= STATISTICS_ROWS:
                    statistics = MfccStatistics.from_mfcc(near[:STATISTICS_ROWS])
                    yield _rows(statistics, np.concatenate(pending))
        if statistics is None and pending:
            rows = np.concatenate(pending)
            yield _rows(MfccStatistics.from_mfcc(near if len(near) >= MIN_STATISTICS_ROWS else rows), rows)

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


def close_in_silence(
    conditions: Float[Tensor, "T M"], closed_mouth: Float[Tensor, " M"], audio: Float32[np.ndarray, " S"]
) -> Float[Tensor, "T M"]:
    """Closes the mouth where nobody speaks, as `AudioConditioner` does.

    Args:
        conditions: condition of the mouth in each frame.
        closed_mouth: condition of the closed mouth.
        audio: samples at 16 kHz, beginning with the first frame.
    """
    voice = stream_voice_activity([audio], lookahead_rows=STATISTICS_ROWS)
    return torch.cat(list(_close_in_silence([conditions], closed_mouth, voice)))


def _close_in_silence(
    conditions: Iterable[Float[Tensor, "n M"]],
    closed_mouth: Float[Tensor, " M"],
    voice: Iterable[Bool[np.ndarray, " R"]],
) -> Iterator[Float[Tensor, "n M"]]:
    for chunk, closing in zip_chunks(conditions, _closing_weight(voice)):
        yield torch.lerp(chunk, closed_mouth, closing)


def _stream_feature(feature: AudioFeature, source: AudioSource) -> Iterator[Float[Tensor, "n A"]]:
    for rows in feature.stream(source):
        source.audio = source.mfcc = ()  # the one that the feature does not read would keep all of the audio
        yield rows


def _running_statistics(prior: MfccStatistics, mfcc: Float32[np.ndarray, "R D"]) -> MfccStatistics:
    """Blends the training video's statistics into those of the recording so far, by its length up to `PRIOR_ROWS`."""
    if not len(mfcc):
        return prior
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


def _voiced_frames(voice: Iterable[Bool[np.ndarray, " R"]]) -> Iterator[Bool[Tensor, " n"]]:
    """Yields whether someone speaks in each frame, from rows of 10 ms."""
    rows = (torch.from_numpy(chunk).float() for chunk in voice)
    for window in sliding_windows(rows, 0, MFCC_PER_FRAME, MFCC_PER_FRAME):
        yield window.mean(-1) >= 0.5


def _rows(statistics: MfccStatistics, mfcc: Float32[np.ndarray, "R D"]) -> Float[Tensor, "R D"]:
    return torch.from_numpy(statistics.normalise(mfcc)).float()
