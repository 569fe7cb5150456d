"""A person's blinks put into an eye opening that is still being generated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.blink_statistics import REACH, BlinkHabits, resting_level
from dfa_nerfstudio.media.rates import FRAME_RATE

SEARCH = 12
"""A blink is moved to the deepest dip of the opening within so many frames of the moment at which it is due."""


class Blinking:
    """Turns the dips of a generated eye opening into this person's blinks.

    A motion model trained on a minute of film closes the eyes half, twice in a row, or not for a while. What it knows
    is the resting level and roughly when: so the level is kept, blinks come at intervals drawn from the person's own,
    each moved to the deepest dip that the model made within half a second of it, and each closes as one of the
    person's own blinks did. At temperature 0 the intervals are all the mean one.
    """

    def __init__(
        self, habits: BlinkHabits, generator: torch.Generator, temperature: float = 1.0, rate: float | None = None
    ) -> None:
        """
        Args:
            habits: the person's.
            generator: of what is drawn.
            temperature: see above.
            rate: blinks a minute; None for the person's own. A person who never blinked in the film never does.
        """
        self.habits, self.generator, self.temperature = habits, generator, temperature
        own = 60 * FRAME_RATE / float(habits.intervals.mean()) if len(habits.intervals) else 0.0
        self._stretch = 1.0 if rate is None or not rate else own / rate
        self._never = not own or rate == 0

    def stream(self, openings: Iterable[Float[Tensor, "n 2"]]) -> Iterator[Float[Tensor, "m 2"]]:
        """Openings with blinks, as soon as they can be known: about a second late at most.

        Args:
            openings: 0 closed to 1 open, in pieces of any length.
        """
        low, high = self.habits.resting
        known, closure, start, made = torch.zeros(0, 2), torch.zeros(0, 2), 0, 0  # the first two begin at `start`
        due, last = self._gap() * float(torch.rand((), generator=self.generator)), -REACH
        for piece in chain(openings, [None]):
            known = known if piece is None else torch.cat([known, piece.cpu()])
            total = start + len(known)
            closure = torch.cat([closure, torch.zeros(max(len(known) + REACH + 1 - len(closure), 0), 2)])
            while due < (total if piece is None else total - SEARCH):
                first, end = max(int(due) - SEARCH, last + REACH, 0), min(int(due) + SEARCH + 1, total)
                if first < end:
                    last = first + int(known[first - start : end - start].mean(-1).argmin())
                    self._shut(closure, last - start)
                due += self._gap()
            sure = total if piece is None else min(total - 2 * REACH, int(min(due, total)) - SEARCH - REACH)
            if sure > made:
                level = resting_level(known).clamp(low, high)
                yield ((1 - closure[: len(known)]) * level)[made - start : sure - start]
                drop = max(sure - 2 * REACH - start, 0)
                known, closure, start, made = known[drop:], closure[drop:], start + drop, sure

    def _gap(self) -> float:
        """Frames until the next blink is due."""
        if self._never:
            return torch.inf
        intervals = self.habits.intervals
        mean, drawn = intervals.mean(), intervals[int(torch.randint(len(intervals), (), generator=self.generator))]
        return max(2.0, self._stretch * float(mean + min(1.0, self.temperature) * (drawn - mean)))

    def _shut(self, closure: Float[Tensor, "n 2"], deepest: int) -> None:
        """Puts one of the person's blinks there, in place."""
        shapes = self.habits.shapes
        shape = shapes[int(torch.randint(len(shapes), (), generator=self.generator))]
        begin, stop = max(deepest - REACH, 0), deepest + REACH + 1
        closure[begin:stop] = torch.maximum(closure[begin:stop], shape[begin - deepest + REACH :])
