"""Similarity of every clip's lips with every clip's audio."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.attribute_report import cross_similarity
from dfa_nerfstudio.attributes.inspection.inspection_subject import InspectionSubject
from dfa_nerfstudio.attributes.recordings import Recording
from dfa_nerfstudio.media.rates import FRAME_RATE

SEGMENT_FRAMES = round(3.0 * FRAME_RATE)
"""Frames of a segment of one video that serves as a clip."""
MAX_SEGMENTS = 10
"""Number of segments of one video that serve as clips."""
MAX_NUMBERED_CLIPS = 14
"""Number of clips above which the map shows no numbers, for lack of room."""


@dataclass
class HeatMap:
    """Mean cosine of the lips of each row with the audio of each column."""

    names: list[str]
    """Name of each clip."""
    similarity: Float[Tensor, "N N"]
    """Mean cosine, -1 to 1."""
    held_out: list[bool]
    """Whether each clip was held out from training."""

    @property
    def rows(self) -> list[tuple[str, list[tuple[float, float, bool]]]]:
        """Name and cells of each row. A cell is the cosine, its position between the minimum (0) and the maximum (1) of
        the map, and whether it is the maximum of its row."""
        low, high = self.similarity.min(), self.similarity.max()
        shade = (self.similarity - low) / (high - low).clamp(min=1e-9)
        best = self.similarity.argmax(1).tolist()
        return [
            (name, [(float(v), float(s), i == best[row]) for i, (v, s) in enumerate(zip(values, shades, strict=True))])
            for row, (name, values, shades) in enumerate(zip(self.names, self.similarity, shade, strict=True))
        ]

    @property
    def hides_numbers(self) -> bool:
        """Whether the map is too large for numbers."""
        return len(self.names) > MAX_NUMBERED_CLIPS

    @property
    def num_correct(self) -> list[int]:
        """Number of rows whose own audio has the highest cosine: of all rows, and of the held-out clips."""
        correct = self.similarity.argmax(1) == torch.arange(len(self.similarity))
        return [int(correct.sum()), int(correct[torch.tensor(self.held_out)].sum())]


def heat_map(subject: InspectionSubject, reference_clips: list[Recording]) -> HeatMap | None:
    """Compares the subject's inspected part with the reference clips or, without any, segments of its own video.

    Held-out segments come first. None if a video without reference clips is too short for two segments.
    """
    if reference_clips:
        recordings = [subject.recording.part(subject.inspected), *reference_clips]
        names = [recording.name for recording in recordings]
        held_out = [subject.has_held_out, *[True] * len(reference_clips)]
    else:
        starts = _segment_starts(subject)
        recordings = [subject.recording.part(slice(start, start + SEGMENT_FRAMES)) for start in starts]
        names = [f"{start / FRAME_RATE:.1f} s" for start in starts]
        held_out = [start >= subject.num_train for start in starts]
    if len(recordings) < 2:
        return None
    return HeatMap(names, cross_similarity(subject.models, recordings), held_out)


def _segment_starts(subject: InspectionSubject) -> list[int]:
    """First frames of up to `MAX_SEGMENTS` segments that show the face throughout, evenly spaced in each part."""
    chosen: list[int] = []
    for part in (subject.held_out, subject.training):
        starts = range(part.start, part.stop - SEGMENT_FRAMES + 1, SEGMENT_FRAMES)
        valid = [start for start in starts if (subject.clip.shot[start : start + SEGMENT_FRAMES] >= 0).all()]
        count = min(MAX_SEGMENTS - len(chosen), len(valid))
        chosen += [valid[index] for index in np.linspace(0, len(valid) - 1, count).round().astype(int)]
    return chosen
