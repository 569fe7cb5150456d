"""Which frames of a clip are valid, which ones are consecutive, and which ones are training frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Int32

from dfa_nerfstudio.media.rates import FRAME_RATE

MAX_GAP = round(0.5 * FRAME_RATE)
"""Longest run of frames without a face that is interpolated, in frames; longer runs are invalid."""
MIN_RUN = round(0.2 * FRAME_RATE)
"""Shortest run of frames with a face between two invalid runs, in frames; shorter runs are invalid too."""


@dataclass
class Timeline:
    """The frames of a clip in order: training frames, then held-out ones, both interrupted by cuts and lost faces.

    Nothing is interpolated, smoothed or tracked across the borders of a *segment*: a run of valid frames of one shot
    on one side of the border between training and held-out frames.
    """

    shot: Int32[np.ndarray, " T"]
    """Number of each frame's shot, -1 for invalid frames; see `ClipAttributes.shot`."""
    num_train: int
    """Number of training frames, valid or not."""

    @classmethod
    def from_cuts(cls, num_frames: int, num_train: int, cuts: Iterable[int] = ()) -> Timeline:
        """The timeline of a clip in which every frame is valid.

        Args:
            num_frames: number of frames.
            num_train: number of training frames, the first ones.
            cuts: number of the first frame after each cut.
        """
        shot = np.zeros(num_frames, np.int32)
        shot[[cut for cut in cuts if 0 < cut < num_frames]] = 1
        return cls(shot.cumsum(dtype=np.int32), num_train)

    def __len__(self) -> int:
        return len(self.shot)

    @property
    def splits(self) -> tuple[slice, ...]:
        """The training frames and, if there are any, the held-out ones, including invalid frames."""
        train, held_out = slice(0, self.num_train), slice(self.num_train, len(self))
        return (train, held_out) if self.num_train < len(self) else (train,)

    @property
    def valid(self) -> Bool[np.ndarray, " T"]:
        """Whether each frame is valid."""
        return self.shot >= 0

    @property
    def train_mask(self) -> Bool[np.ndarray, " T"]:
        """Whether each frame is a valid training frame; nothing is learnt from other frames."""
        return self.valid & (np.arange(len(self)) < self.num_train)

    @property
    def cuts(self) -> list[int]:
        """The first frame of each shot except the first one."""
        return (np.flatnonzero(np.diff(self.shot)) + 1).tolist()

    def runs(self) -> list[slice]:
        """The segments and the runs of invalid frames between them: together all frames in order."""
        edges = np.unique([0, *self.cuts, self.num_train, len(self)])
        return [slice(int(start), int(stop)) for start, stop in pairwise(edges)]

    def segments(self) -> list[slice]:
        """The runs of valid frames."""
        return [run for run in self.runs() if self.shot[run.start] >= 0]

    def exclude_lost(self, found: Bool[np.ndarray, " T"]) -> Timeline:
        """The same timeline without the frames whose face is neither seen nor can be interpolated.

        These are the frames of gaps longer than `MAX_GAP`, of any gap at an end of a segment, because there is nothing
        to interpolate to, and of runs shorter than `MIN_RUN` between two such gaps. The frames before and after a gap
        become shots of their own.

        Args:
            found: whether the face is seen in each frame.
        """
        lost = np.zeros(len(self), bool)
        for segment in self.segments():
            length = segment.stop - segment.start
            gaps = [gap for gap in true_runs(~found[segment]) if _cannot_interpolate(gap, length)]
            kept = np.ones(length, bool)
            for gap in gaps:
                kept[gap] = False
            for run in true_runs(kept):
                if gaps and run.stop - run.start < MIN_RUN:
                    kept[run] = False
            lost[segment] = ~kept
        return self.exclude(lost)

    def exclude(self, excluded: Bool[np.ndarray, " T"]) -> Timeline:
        """The same timeline with further invalid frames; the frames before and after them become different shots."""
        shot = np.where(excluded, -1, self.shot)
        starts = (np.diff(shot, prepend=shot[:1]) != 0) & (shot >= 0)
        first = np.argmax(shot >= 0)  # its shot has number 0
        starts[: first + 1] = False
        return Timeline(np.where(shot < 0, -1, starts.cumsum()).astype(np.int32), self.num_train)


def _cannot_interpolate(gap: slice, length: int) -> bool:
    return gap.stop - gap.start > MAX_GAP or gap.start == 0 or gap.stop == length


def true_runs(mask: Bool[np.ndarray, " T"]) -> list[slice]:
    """The maximal runs of true elements."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return [slice(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def true_spans(mask: Bool[np.ndarray, " T"], rate: float = FRAME_RATE) -> list[tuple[float, float]]:
    """Start and end, in seconds, of each maximal run of true elements, of which there are `rate` per second."""
    return [(run.start / rate, run.stop / rate) for run in true_runs(mask)]


def format_spans(spans: Iterable[tuple[float, float]]) -> str:
    """Names spans, in seconds, for a message: `0.2 to 0.9 s, 3.0 to 4.1 s`."""
    return ", ".join(f"{start:.1f} to {stop:.1f} s" for start, stop in spans)
