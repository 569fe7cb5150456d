"""Inserts a person's blinks into a generated eye opening while it is streamed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.blink_statistics import HALF_WIDTH, BlinkStatistics, resting_level
from dfa_nerfstudio.media.rates import FRAME_RATE

MAX_SHIFT = 12
"""Frames by which a blink may be moved from the time at which it is due to a minimum of the generated opening."""
MIN_INTERVAL = 2.0
"""Shortest interval between the due times of two blinks, in frames."""


class BlinkSynthesizer:
    """Replaces the minima of a generated eye opening by blinks of the person.

    A motion model that is trained on a minute of video closes the eyes half, twice in succession, or not for a while.
    It predicts the resting level, and roughly the times of blinks. Therefore the resting level is kept, and the
    intervals between blinks are drawn from the person's own. Each blink is moved to the deepest minimum of the
    generated opening within half a second, and has the shape of one of the person's blinks. At temperature 0 all
    intervals are the mean interval.
    """

    def __init__(
        self,
        statistics: BlinkStatistics,
        generator: torch.Generator,
        temperature: float = 1.0,
        rate: float | None = None,
    ) -> None:
        """
        Args:
            statistics: the person's blinks.
            generator: source of random numbers.
            temperature: factor on the variation of the intervals.
            rate: blinks per minute; None for the person's own rate. Without blinks in the training video there are
                none.
        """
        self.statistics, self.generator = statistics, generator
        intervals = statistics.intervals
        own_rate = 60 * FRAME_RATE / float(intervals.mean()) if len(intervals) else 0.0
        scale = 1.0 if rate is None or not rate else own_rate / rate
        spread = min(1.0, temperature) * (intervals - intervals.mean()) if len(intervals) else intervals
        self._intervals = (scale * (intervals.mean() + spread)).clamp(min=MIN_INTERVAL)
        """Intervals that are drawn, in frames."""
        self._never = not own_rate or rate == 0

    def stream(self, openings: Iterable[Float[Tensor, "n 2"]]) -> Iterator[Float[Tensor, "m 2"]]:
        """Yields openings with blinks, as soon as they are determined: after about a second at most.

        Args:
            openings: eye openings in chunks of any length, 0 closed to 1 open.
        """
        low, high = self.statistics.resting_range
        # Frames from `start` on are held; frames before `emitted` have been yielded.
        known, closure, start, emitted = torch.zeros(0, 2), torch.zeros(0, 2), 0, 0
        due, last = self._draw_first(), -HALF_WIDTH
        for chunk in chain(openings, [None]):
            known = known if chunk is None else torch.cat([known, chunk.cpu()])
            total = start + len(known)
            closure = torch.cat([closure, torch.zeros(max(len(known) + HALF_WIDTH + 1 - len(closure), 0), 2)])
            while due < (total if chunk is None else total - MAX_SHIFT):
                first, end = max(int(due) - MAX_SHIFT, last + HALF_WIDTH, 0), min(int(due) + MAX_SHIFT + 1, total)
                if first < end:
                    last = first + int(known[first - start : end - start].mean(-1).argmin())
                    self._insert_blink(closure, last - start)
                due += self._draw_interval()
            if chunk is None:
                determined = total
            else:
                determined = min(total - 2 * HALF_WIDTH, int(min(due, total)) - MAX_SHIFT - HALF_WIDTH)
            if determined > emitted:
                level = resting_level(known).clamp(low, high)
                yield ((1 - closure[: len(known)]) * level)[emitted - start : determined - start]
                drop = max(determined - 2 * HALF_WIDTH - start, 0)
                known, closure, start, emitted = known[drop:], closure[drop:], start + drop, determined

    def _draw_interval(self) -> float:
        """Frames until the next blink is due."""
        if self._never:
            return torch.inf
        return float(self._intervals[int(torch.randint(len(self._intervals), (), generator=self.generator))])

    def _draw_first(self) -> float:
        """Frames until the first blink is due: the audio begins at a random moment, and therefore in a long interval
        more often than in a short one."""
        if self._never:
            return torch.inf
        drawn = self._intervals[int(torch.multinomial(self._intervals, 1, generator=self.generator))]
        return float(drawn * torch.rand((), generator=self.generator))

    def _insert_blink(self, closure: Float[Tensor, "n 2"], deepest: int) -> None:
        """Adds one of the person's blinks to `closure` in place, its deepest frame at `deepest`."""
        shapes = self.statistics.shapes
        shape = shapes[int(torch.randint(len(shapes), (), generator=self.generator))]
        begin, stop = max(deepest - HALF_WIDTH, 0), deepest + HALF_WIDTH + 1
        closure[begin:stop] = torch.maximum(closure[begin:stop], shape[begin - deepest + HALF_WIDTH :])
