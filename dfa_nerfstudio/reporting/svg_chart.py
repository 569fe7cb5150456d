"""Curves over time as SVG that stretches with the page: labels are the page's own text, colours its CSS classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

COLUMNS, HEIGHT = 1000, 100
"""Units of the plot; a series has no more than two points for each column."""


@dataclass
class Series:
    """One curve."""

    name: str
    values: Float[np.ndarray, " N"]
    """Evenly spaced over the chart's duration; NaN leaves a gap."""
    colour: int = 0
    """Number of the CSS class."""
    deviation: Float[np.ndarray, " N"] | None = None
    """Half width of the band around the curve."""
    filled: bool = False
    """As the area between the least and the greatest value in each column."""
    scale: float | None = None
    """The value at the chart's top, for a series in units of its own: it is drawn from the bottom up."""


@dataclass
class Span:
    """A marked stretch of time."""

    kind: str
    """Name of its CSS class."""
    start: float
    """In seconds."""
    end: float
    title: str = ""


@dataclass
class Chart:
    """A few curves with one vertical axis."""

    title: str
    unit: str
    duration: float
    """In seconds."""
    series: list[Series]
    spans: list[Span] = field(default_factory=list)
    limits: tuple[float, float] | None = None
    """Of the vertical axis; by default what shows all but the outermost thousandth of the values."""
    tall: bool = False

    def __post_init__(self) -> None:
        self.low, self.high = self.limits or _limits([s for s in self.series if s.scale is None])

    @property
    def ticks(self) -> list[tuple[str, float]]:
        """Label and distance from the top in percent."""
        return [(text, self._y(value)) for text, value in nice_ticks(self.low, self.high, 5)]

    @property
    def times(self) -> list[tuple[str, float]]:
        """Label and distance from the left in percent."""
        ticks = nice_ticks(0, self.duration, 8)
        return [(_clock(value, text), 100 * value / self.duration) for text, value in ticks]

    @property
    def svg(self) -> str:
        """The plot."""
        parts = [self._span(span) for span in self.spans]
        parts += [f'<path class="grid" d="M0,{y:.1f}H{COLUMNS}"/>' for _, y in self.ticks]
        for series in self.series:
            if series.deviation is not None:
                low = decimated(series.values - series.deviation)[0]
                high = decimated(series.values + series.deviation)[1]
                parts.append(f'<path class="band c{series.colour}" d="{self._area(low, high, series)}"/>')
            low, high = decimated(series.values)
            if series.filled:
                parts.append(f'<path class="area c{series.colour}" d="{self._area(low, high, series)}"/>')
            else:
                parts.append(f'<path class="line c{series.colour}" d="{self._line(low, high, series)}"/>')
        inner = "".join(parts)
        return f'<svg viewBox="0 0 {COLUMNS} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">{inner}</svg>'

    def _y(self, value: float, series: Series | None = None) -> float:
        low, high = (self.low, self.high) if series is None or series.scale is None else (0.0, series.scale)
        return HEIGHT * (1 - float(np.clip((value - low) / (high - low), -0.1, 1.1)))

    def _span(self, span: Span) -> str:
        left = COLUMNS * span.start / self.duration
        width = COLUMNS * (span.end - span.start) / self.duration
        title = f"<title>{span.title}</title>" if span.title else ""
        if span.start == span.end:
            return f'<path class="{span.kind}" d="M{left:.1f},0V{HEIGHT}">{title}</path>'
        return f'<rect class="{span.kind}" x="{left:.1f}" y="0" width="{width:.2f}" height="{HEIGHT}">{title}</rect>'

    def _line(self, low: np.ndarray, high: np.ndarray, series: Series) -> str:
        """Through the column's extremes, which are one point where a column has one value."""
        step, words, pen = COLUMNS / max(len(low), 1), [], False
        for column, (a, b) in enumerate(zip(low, high, strict=True)):
            if np.isnan(a):
                pen = False
                continue
            x = (column + 0.5) * step
            first, last = (a, b) if column % 2 else (b, a)
            words.append(f"{'L' if pen else 'M'}{x:.1f},{self._y(first, series):.1f}")
            if a != b:
                words.append(f"V{self._y(last, series):.1f}")
            pen = True
        return "".join(words)

    def _area(self, low: np.ndarray, high: np.ndarray, series: Series) -> str:
        step, words = COLUMNS / max(len(low), 1), []
        seen = ~np.isnan(low)
        edges = np.flatnonzero(np.diff(seen.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
        for start, stop in edges:
            there = [f"{(i + 0.5) * step:.1f},{self._y(high[i], series):.1f}" for i in range(start, stop)]
            back = [f"{(i + 0.5) * step:.1f},{self._y(low[i], series):.1f}" for i in reversed(range(start, stop))]
            words.append(f"M{'L'.join([*there, *back])}Z")
        return "".join(words)


def decimated(values: Float[np.ndarray, " N"]) -> tuple[Float[np.ndarray, " C"], Float[np.ndarray, " C"]]:
    """Least and greatest value in each of at most `COLUMNS` columns; NaN where a column has none."""
    if len(values) <= COLUMNS:
        return values, values
    edges = np.linspace(0, len(values), COLUMNS + 1).round().astype(int)[:-1]
    low = np.fmin.reduceat(values, edges)
    return low, np.fmax.reduceat(values, edges)


def nice_ticks(low: float, high: float, most: int) -> list[tuple[str, float]]:
    """Round numbers within a range, at most so many, as text and value."""
    rough = (high - low) / most
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    decimals = max(0, -int(np.floor(np.log10(step) + 1e-9)))
    numbers = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step
    return [(f"{number + 0.0:.{decimals}f}".replace("-", "\N{MINUS SIGN}"), float(number)) for number in numbers]


def _clock(seconds: float, text: str) -> str:
    return f"{text} s" if seconds < 120 else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _limits(series: Sequence[Series]) -> tuple[float, float]:
    values = np.concatenate([s.values for s in series]) if series else np.zeros(1)
    values = values[np.isfinite(values)]
    low, high = np.percentile(values, [0.05, 99.95]) if len(values) else (0.0, 1.0)
    margin = 0.08 * (high - low) or 1.0
    return float(low - margin), float(high + margin)
