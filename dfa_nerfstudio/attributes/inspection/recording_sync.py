"""Agreement of audio and lips over their offset, and the share of windows in sync."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.attribute_report import SYNC_WINDOWS, recording_curves, sync_shares
from dfa_nerfstudio.attributes.inspection.inspection_subject import InspectionSubject
from dfa_nerfstudio.attributes.recordings import Recording
from dfa_nerfstudio.attributes.segments import shot_segments
from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.attributes.sync_metrics import MAX_OFFSET, TOLERANCE, frame_curves, is_in_sync
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.reporting.charts import XYBand, XYChart, XYSeries, robust_limits

CHANCE = (2 * TOLERANCE + 1) / (2 * MAX_OFFSET + 1)
"""Expected share of windows in sync for random embeddings."""
BAND_QUANTILES = (0.1, 0.9)
"""Quantiles of the windows between which the chart's band lies."""
BAND_WINDOW = round(1.0 * FRAME_RATE)
"""Frames of a window for the band."""


@dataclass
class RecordingSync:
    """Agreement of audio and lips in one recording, or in one part of it."""

    name: str
    seconds: float
    curve: Float[Tensor, " O"]
    """Mean cosine at each offset from -`MAX_OFFSET` to `MAX_OFFSET` frames."""
    windows: Float[Tensor, "N O"]
    """The same for each window of a second in a part of the subject's video; N = 0 for reference clips, which have no
    band."""
    shares: list[float]
    """Share of windows in sync for each length in `SYNC_WINDOWS`; NaN if none fits."""
    own_offset_shares: list[float] = field(default_factory=list)
    """Share of windows whose offset is that of the rest of their recording; for reference clips only."""

    @property
    def offset(self) -> int:
        """Offset of the highest mean cosine in frames; positive where the audio lags the video."""
        return int(self.curve.argmax()) - MAX_OFFSET

    @classmethod
    def from_part(cls, subject: InspectionSubject, part: slice, name: str) -> RecordingSync | None:
        """Measures a part of the subject's video within its shots; None if it is too short for any offset."""
        if part.stop - part.start <= 2 * MAX_OFFSET or subject.seconds(part) == 0:
            return None
        audio, lips = subject.audio_features(part), subject.models.mouth_features(subject.landmarks[part])
        shots = shot_segments(torch.from_numpy(subject.clip.shot[part]))
        curves = [frame_curves(audio[shot], lips[shot]) for shot in shots]

        def windows(length: int) -> Float[Tensor, "N O"]:
            fitting = [curve.unfold(0, length, 1).mean(-1) for curve in curves if len(curve) >= length]
            return torch.cat([curves[0][:0], *fitting])

        frames = torch.cat(curves)
        if not len(frames):
            return None
        shares = [float(is_in_sync(windows(round(length * FRAME_RATE))).mean()) for length in SYNC_WINDOWS]
        return cls(name, subject.seconds(part), frames.mean(0), windows(BAND_WINDOW), shares)

    @classmethod
    def from_recording(cls, models: SpeechModels, recording: Recording) -> RecordingSync:
        """Measures a reference clip, without correcting its offset."""
        curves = recording_curves(models, recording)
        by_name = sync_shares(curves)
        shares, own_offset_shares = (
            [by_name.get(f"{name}, {length:g} s", math.nan) for length in SYNC_WINDOWS]
            for name in ("sync", "sync at own offset")
        )
        seconds = len(recording) / FRAME_RATE
        return cls(recording.name, seconds, curves.mean(0), curves[:0], shares, own_offset_shares)


def subject_sync(subject: InspectionSubject) -> list[RecordingSync]:
    """Agreement in the held-out part and in the training part, as far as they are long enough."""
    parts = (("held-out part", subject.held_out), ("training part", subject.training))
    measured = [RecordingSync.from_part(subject, part, name) for name, part in parts]
    return [one for one in measured if one is not None]


def offset_chart(parts: list[RecordingSync]) -> XYChart:
    """Chart of the mean cosine over the offset, with bands of one-second windows and the first part's best offset."""
    offsets = np.arange(-MAX_OFFSET, MAX_OFFSET + 1, dtype=float)
    series, bands = [], []
    for colour, part in zip((0, 3), parts, strict=False):
        series.append(XYSeries(part.name, offsets, part.curve.numpy(), colour))
        if len(part.windows):
            low, high = part.windows.quantile(torch.tensor(BAND_QUANTILES), 0).numpy()
            bands.append(XYBand(offsets, low, high, colour))
    limits = robust_limits(*(one.y for one in series), *(edge for band in bands for edge in (band.low, band.high)))
    best = parts[0].offset
    guides = [("zero", [(0.0, limits[0]), (0.0, limits[1])]), ("best", [(best, limits[0]), (best, limits[1])])]
    unit = f"mean cosine of f_a and lips; best in the {parts[0].name} at {format_offset(best)}"
    return XYChart("Agreement over offset", unit, (-MAX_OFFSET, MAX_OFFSET), limits, series, bands, guides)


def format_offset(offset: int) -> str:
    """An offset in frames and milliseconds.

    Example:
        >>> format_offset(3)
        '+3 frames (+120 ms)'
    """
    if offset == 0:
        return "0 frames"
    sign = "+" if offset > 0 else "\N{MINUS SIGN}"
    plural = "s" if abs(offset) != 1 else ""
    return f"{sign}{abs(offset)} frame{plural} ({sign}{abs(offset) * 1000 / FRAME_RATE:.0f} ms)"
