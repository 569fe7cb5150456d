"""From sound to what the field hears, frame by frame, however long the sound is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, tee

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.data.attribute_track import FeatureKind
from dfa_nerfstudio.data.audio_features import COEFFICIENTS, MFCC_KIND, MFCC_ROWS
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.chunks import sliding_windows, zip_chunks
from dfa_nerfstudio.media.mfcc import stream_mfcc
from dfa_nerfstudio.media.mfcc_statistics import MfccStatistics
from dfa_nerfstudio.media.rates import MFCC_PER_FRAME
from dfa_nerfstudio.media.vad import stream_voice
from dfa_nerfstudio.talk.talk_config import HearingConfig

MINUTE = 6000
"""Rows of MFCC."""
AROUND = 28
"""Rows of 10 ms around a frame that decide whether it is silent."""
SILENT_FROM, SILENT_TO = 0.6, 1.0
"""Share of them without voice at which the mouth begins to be shut, and is."""


class Hearing:
    """Hears for one person: f_a for the motion, and what the field hears for the lips.

    A recording is normalised by its own statistics. They are those of its first minute, which is heard before the first
    frame is made; live, of what has been heard so far, beginning with those of the person's film.
    """

    def __init__(
        self,
        models: AttributeModels,
        shut: Float[Tensor, " F"],
        kind: FeatureKind,
        config: HearingConfig,
        live: bool = False,
    ) -> None:
        """
        Args:
            models: the person's.
            shut: what the field hears where the mouth is to be shut; `DFANerfModel.closed_mouth_feature`.
            kind: of what the field hears.
            config: see there.
            live: nothing is waited for that is not needed.
        """
        self.models, self.shut, self.kind, self.config, self.live = models, shut, kind, config, live

    def stream(
        self, sound: Iterable[Float32[np.ndarray, " S"]], features: Float[Tensor, "T F"] | None = None
    ) -> Iterator[tuple[Float[Tensor, "n A"], Float[Tensor, "n F"]]]:
        """f_a, and what the field hears, of the next frames.

        Args:
            sound: 16 kHz, in pieces of any length.
            features: what the field hears where it was trained on features of a file: a row for each frame.

        Raises:
            UserError: for sound that is too short or silent throughout.
        """
        to_features, to_voice = tee(sound)
        rows, raw = tee(self._normalised(stream_mfcc(to_features)))
        heard = self.models.audio.stream(rows)
        f_a, lips = tee(heard if self.live else self._long_enough(heard))
        if features is not None:
            lips = features.split(1)
        elif self.kind.name == MFCC_KIND.name:
            statics = (piece[:, :COEFFICIENTS] for piece in raw)
            around = sliding_windows(statics, MFCC_ROWS // 2, MFCC_ROWS, MFCC_PER_FRAME)
            lips = (piece.transpose(1, 2).flatten(1) for piece in around)
        if self.config.smooth_lips:
            lips = _smoothed(lips, self.config.smooth_lips)
        if self.config.close_in_silence:
            voice = stream_voice(to_voice, ahead=0 if self.live else MINUTE)
            lips = (torch.lerp(piece, self.shut, share) for piece, share in zip_chunks(lips, _silence(voice)))
        yield from zip_chunks(f_a, lips)

    def _normalised(self, rows: Iterable[Float32[np.ndarray, "R D"]]) -> Iterator[Float[Tensor, "R D"]]:
        film, heard = self.models.clip_statistics, np.zeros((0, self.models.sizes["num_coefficients"]), np.float32)
        statistics: MfccStatistics | None = None
        for piece in chain(rows, [None]):
            if self.live and piece is not None:
                heard = np.concatenate([heard, piece])[-MINUTE // 2 :]
                statistics = _so_far(film, heard)
            elif statistics is None:
                heard = heard if piece is None else np.concatenate([heard, piece])
                if piece is not None and (len(heard) < MINUTE or not np.ptp(heard[:, 0])):
                    continue  # too little so far, or nothing but silence
                piece, statistics = heard, MfccStatistics.of(heard)
            if piece is not None:
                yield torch.from_numpy(statistics.normalise(piece)).float()

    def _long_enough(self, frames: Iterable[Float[Tensor, "n A"]]) -> Iterator[Float[Tensor, "n A"]]:
        """The frames, if there are enough for a window."""
        first, least = torch.zeros(0), -(-self.models.config.audio.window // MFCC_PER_FRAME)
        for piece in frames:
            if len(first) < least:
                first = torch.cat([first, piece]) if len(first) else piece
                if len(first) >= least:
                    yield first
            else:
                yield piece
        if len(first) < least:
            raise UserError(
                f"the audio is shorter than one window of {self.models.config.audio.window * 10} ms; give more of it"
            )


def _so_far(film: MfccStatistics, heard: Float32[np.ndarray, "R D"]) -> MfccStatistics:
    """Statistics of what has been heard, those of the film in their place as long as it is less than some seconds."""
    try:
        own = MfccStatistics.of(heard)
    except UserError:
        return film
    share = min(len(heard) / 1000, 1.0)
    return MfccStatistics(film.mean + share * (own.mean - film.mean), film.std + share * (own.std - film.std))


def _silence(voice: Iterable[Bool[np.ndarray, " R"]]) -> Iterator[Float[Tensor, "n 1"]]:
    """How far the mouth is to be shut in each frame, 0 to 1: it is shut within some frames, without a pop."""
    rows = (torch.from_numpy(~piece).float() for piece in voice)
    for around in sliding_windows(rows, AROUND // 2, AROUND, MFCC_PER_FRAME):
        yield ((around.mean(-1, keepdim=True) - SILENT_FROM) / (SILENT_TO - SILENT_FROM)).clamp(0, 1)


def _smoothed(frames: Iterable[Float[Tensor, "n F"]], deviation: float) -> Iterator[Float[Tensor, "n F"]]:
    """A Gaussian of two deviations to either side: what lies beyond changes nothing that is seen, and is waited for."""
    reach = max(round(2 * deviation), 1)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / deviation).square())
    for around in sliding_windows(frames, reach, len(kernel)):
        yield around @ (kernel / kernel.sum())
