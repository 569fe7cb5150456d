"""Which frames of a clip follow each other, and which are of use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Int32

from dfa_nerfstudio.media.rates import FRAME_RATE

LONGEST_GAP = round(0.5 * FRAME_RATE)
"""Frames without a face that are interpolated; a longer gap is left out."""
LEAST_RUN = round(0.2 * FRAME_RATE)
"""Fewer frames with a face between two gaps are left out with them."""


@dataclass
class Timeline:
    """The clip's frames in their order: training frames, then held-out ones, both broken by cuts and lost faces.

    Nothing is interpolated, smoothed or followed from one *stretch* to the next. A stretch is a run of usable frames
    of one shot on one side of the border between training and held-out frames.
    """

    shot: Int32[np.ndarray, " T"]
    """See `ClipAttributes.shot`."""
    num_train: int

    @classmethod
    def of(cls, frames: int, num_train: int, cuts: Iterable[int] = ()) -> Timeline:
        """A clip in which every frame is of use.

        Args:
            frames: their number.
            num_train: the first so many are for training.
            cuts: the first frame after each cut.
        """
        shot = np.zeros(frames, np.int32)
        shot[[cut for cut in cuts if 0 < cut < frames]] = 1
        return cls(shot.cumsum(dtype=np.int32), num_train)

    def __len__(self) -> int:
        return len(self.shot)

    @property
    def train(self) -> slice:
        return slice(0, self.num_train)

    @property
    def parts(self) -> tuple[slice, ...]:
        """The training frames and, where there are any, the held-out ones; whole, lost faces and all."""
        return (self.train, slice(self.num_train, len(self)))[: 1 + (self.num_train < len(self))]

    @property
    def usable(self) -> Bool[np.ndarray, " T"]:
        return self.shot >= 0

    @property
    def learnable(self) -> Bool[np.ndarray, " T"]:
        """Usable training frames: whatever is learnt is learnt from these."""
        return self.usable & (np.arange(len(self)) < self.num_train)

    @property
    def cuts(self) -> list[int]:
        """The first frame of each shot but the first."""
        return (np.flatnonzero(np.diff(self.shot)) + 1).tolist()

    def runs(self) -> list[slice]:
        """The stretches, and the runs of unusable frames between them: together all frames in their order."""
        edges = np.unique([0, *self.cuts, self.num_train, len(self)])
        return [slice(int(start), int(stop)) for start, stop in pairwise(edges)]

    def stretches(self) -> list[slice]:
        """The runs of usable frames."""
        return [run for run in self.runs() if self.shot[run.start] >= 0]

    def without_lost(self, found: Bool[np.ndarray, " T"]) -> Timeline:
        """The same without the frames whose face can be neither seen nor interpolated.

        Those are the frames of gaps longer than `LONGEST_GAP`, of any gap at the end of a stretch (nothing on its other
        side says where the face went), and of moments shorter than `LEAST_RUN` between two such gaps. The frames before
        and after a gap become shots of their own.
        """
        lost = np.zeros(len(self), bool)
        for stretch in self.stretches():
            length = stretch.stop - stretch.start
            gone = [gap for gap in _runs(~found[stretch]) if _too_long(gap, length)]
            seen = np.ones(length, bool)
            for gap in gone:
                seen[gap] = False
            for run in _runs(seen):
                if gone and run.stop - run.start < LEAST_RUN:
                    seen[run] = False
            lost[stretch] = ~seen
        return self.without(lost)

    def without(self, gone: Bool[np.ndarray, " T"]) -> Timeline:
        """The same with frames that are of no use; those before and after them become shots of their own."""
        shot = np.where(gone, -1, self.shot)
        border = (np.diff(shot, prepend=shot[:1]) != 0) & (shot >= 0)
        first = np.argmax(shot >= 0)  # counting starts there
        border[: first + 1] = False
        return Timeline(np.where(shot < 0, -1, border.cumsum()).astype(np.int32), self.num_train)

    def left_out(self) -> list[slice]:
        """The runs of unusable frames."""
        return _runs(~self.usable)


def _too_long(gap: slice, length: int) -> bool:
    return gap.stop - gap.start > LONGEST_GAP or gap.start == 0 or gap.stop == length


def _runs(marked: Bool[np.ndarray, " T"]) -> list[slice]:
    """The maximal runs of true elements."""
    edges = np.flatnonzero(np.diff(marked.astype(np.int8), prepend=0, append=0))
    return [slice(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]
