"""Which clip's sound suits which clip's lips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.attribute_report import confusion
from dfa_nerfstudio.attributes.inspection.inspection_subject import Subject
from dfa_nerfstudio.attributes.recordings import Recording
from dfa_nerfstudio.media.rates import FRAME_RATE

PIECE = round(3.0 * FRAME_RATE)
"""Frames of a piece of one film that serves as a clip."""
PIECES = 10
MANY = 14
"""Clips from which on the map has no room for its numbers."""


@dataclass
class HeatMap:
    """Mean cosine of the lips of each row with the sound of each column."""

    names: list[str]
    table: Float[Tensor, "N N"]
    held_out: list[bool]
    """Which clips trained nothing here."""

    @property
    def rows(self) -> list[tuple[str, list[tuple[float, float, bool]]]]:
        """Name, and for each column the cosine, its place from the map's least (0) to its greatest (1), and whether it
        is the greatest of its row."""
        low, high = self.table.min(), self.table.max()
        shade = (self.table - low) / (high - low).clamp(min=1e-9)
        best = self.table.argmax(1).tolist()
        return [
            (name, [(float(v), float(s), i == best[row]) for i, (v, s) in enumerate(zip(values, shades, strict=True))])
            for row, (name, values, shades) in enumerate(zip(self.names, self.table, shade, strict=True))
        ]

    @property
    def many(self) -> bool:
        """Whether the numbers are left out."""
        return len(self.names) > MANY

    @property
    def right(self) -> list[int]:
        """For how many rows the own sound suits best: of all rows, and of the clips that trained nothing."""
        hits = self.table.argmax(1) == torch.arange(len(self.table))
        return [int(hits.sum()), int(hits[torch.tensor(self.held_out)].sum())]


def heat_map(subject: Subject, others: list[Recording]) -> HeatMap | None:
    """The folder's own part and all other recordings; alone, pieces of its film, the held-out ones first.

    None where one film is too short for two pieces.
    """
    if others:
        recordings = [subject.recording.part(subject.shown), *others]
        names, held_out = [recording.name for recording in recordings], [subject.is_held_out, *[True] * len(others)]
    else:
        starts = _starts(subject)
        recordings = [subject.recording.part(slice(start, start + PIECE)) for start in starts]
        names = [f"{start / FRAME_RATE:.1f} s" for start in starts]
        held_out = [start >= subject.num_train for start in starts]
    if len(recordings) < 2:
        return None
    return HeatMap(names, confusion(subject.models, recordings), held_out)


def _starts(subject: Subject) -> list[int]:
    """Of up to `PIECES` pieces that show the face throughout, spread evenly over each part."""
    chosen: list[int] = []
    for part in (subject.held_out, subject.training):
        begins = range(part.start, part.stop - PIECE + 1, PIECE)
        whole = [start for start in begins if (subject.clip.shot[start : start + PIECE] >= 0).all()]
        room = min(PIECES - len(chosen), len(whole))
        chosen += [whole[index] for index in np.linspace(0, len(whole) - 1, room).round().astype(int)]
    return chosen
