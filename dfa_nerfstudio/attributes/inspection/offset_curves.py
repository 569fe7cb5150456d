"""Do sound and lips agree, and best when nothing shifts them: curves over the offset, and shares in sync."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.attribute_report import WINDOWS, recording_curves, sync_of
from dfa_nerfstudio.attributes.inspection.inspection_subject import Subject
from dfa_nerfstudio.attributes.recordings import Recording
from dfa_nerfstudio.attributes.segments import stretches
from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.attributes.sync_metrics import MAX_OFFSET, TOLERANCE, frame_curves, in_sync
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.reporting.scatter_plot import Band, Marks, Plot, limits

CHANCE = (2 * TOLERANCE + 1) / (2 * MAX_OFFSET + 1)
SPREAD = (0.1, 0.9)
"""Quantiles of the windows between which the band lies."""
SPREAD_WINDOW = round(1.0 * FRAME_RATE)


@dataclass
class Agreement:
    """Of one recording, or one part of it."""

    name: str
    seconds: float
    curve: Float[Tensor, " O"]
    """Mean cosine at each offset from -`MAX_OFFSET` to `MAX_OFFSET` frames."""
    windows: Float[Tensor, "N O"]
    """The same of each second of a part of the subject's own film; of other films none is drawn, N = 0."""
    shares: list[float]
    """Of windows in sync, for each length in `WINDOWS`; NaN where none fits."""
    own_shares: list[float] = field(default_factory=list)
    """Of windows that find the offset that the rest of their recording tells; only of other films."""

    @property
    def best(self) -> int:
        """By how many frames the sound comes late, as the lips tell."""
        return int(self.curve.argmax()) - MAX_OFFSET

    @classmethod
    def of_part(cls, subject: Subject, part: slice, name: str) -> Agreement | None:
        """Of a part of the subject's own film, within its shots; None where it is too short for any offset."""
        if part.stop - part.start <= 2 * MAX_OFFSET or subject.seconds(part) == 0:
            return None
        sound, lips = subject.sound(part), subject.models.mouth_features(subject.landmarks[part])
        shots = stretches(torch.from_numpy(subject.clip.shot[part]))
        curves = [frame_curves(sound[shot], lips[shot]) for shot in shots]

        def windows(length: int) -> Float[Tensor, "N O"]:
            fitting = [curve.unfold(0, length, 1).mean(-1) for curve in curves if len(curve) >= length]
            return torch.cat([curves[0][:0], *fitting])

        frames = torch.cat(curves)
        if not len(frames):
            return None
        shares = [float(in_sync(windows(round(length * FRAME_RATE))).mean()) for length in WINDOWS]
        return cls(name, subject.seconds(part), frames.mean(0), windows(SPREAD_WINDOW), shares)

    @classmethod
    def of_recording(cls, models: SpeechModels, recording: Recording) -> Agreement:
        """Of another film, whose sound is taken as it is."""
        curves = recording_curves(models, recording)
        figures = sync_of(curves)
        shares, own_shares = (
            [figures.get(f"{name}, {length:g} s", math.nan) for length in WINDOWS] for name in ("sync", "as the rest")
        )
        return cls(recording.name, len(recording) / FRAME_RATE, curves.mean(0), curves[:0], shares, own_shares)


def agreements(subject: Subject) -> list[Agreement]:
    """Of the held-out part and of the training part, as far as they are long enough."""
    parts = (("held-out part", subject.held_out), ("training part", subject.training))
    found = [Agreement.of_part(subject, part, name) for name, part in parts]
    return [agreement for agreement in found if agreement is not None]


def offset_plot(found: list[Agreement]) -> Plot:
    """Mean cosine against offset, with the band of its seconds and a line at the best offset of the first."""
    offsets = np.arange(-MAX_OFFSET, MAX_OFFSET + 1, dtype=float)
    series, bands = [], []
    for colour, agreement in zip((0, 3), found, strict=False):
        series.append(Marks(agreement.name, offsets, agreement.curve.numpy(), colour))
        if len(agreement.windows):
            low, high = agreement.windows.quantile(torch.tensor(SPREAD), 0).numpy()
            bands.append(Band(offsets, low, high, colour))
    shown = limits(*(marks.up for marks in series), *(edge for band in bands for edge in (band.low, band.high)))
    best = found[0].best
    guides = [("zero", [(0.0, shown[0]), (0.0, shown[1])]), ("best", [(best, shown[0]), (best, shown[1])])]
    unit = f"mean cosine of f_a and lips; best in the {found[0].name} at {frames_and_ms(best)}"
    return Plot("Agreement against offset", unit, (-MAX_OFFSET, MAX_OFFSET), shown, series, bands, guides)


def frames_and_ms(offset: int) -> str:
    """An offset in words."""
    if offset == 0:
        return "0 frames"
    sign = "+" if offset > 0 else "\N{MINUS SIGN}"
    plural = "s" if abs(offset) != 1 else ""
    return f"{sign}{abs(offset)} frame{plural} ({sign}{abs(offset) * 1000 / FRAME_RATE:.0f} ms)"
