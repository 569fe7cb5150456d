"""Charts as SVG that scales with the page: curves over time, and points or curves over two axes.

The labels are text of the page and the colours are its CSS classes. `charts.html.jinja` lays out either kind of chart
from its title, unit, series, ticks and SVG.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
from jaxtyping import Float

WIDTH = 1000
"""Width of every chart in SVG units; a time series has at most two points per unit."""
TIME_HEIGHT, XY_HEIGHT = 100, 400
"""Height of a `TimeChart` and of an `XYChart` in SVG units."""

Limits = tuple[float, float]
Ticks = list[tuple[str, float]]
"""Label and position of each tick, in percent from the left or from the top."""


@dataclass
class TimeSeries:
    """One curve over time."""

    name: str
    values: Float[np.ndarray, " N"]
    """Values evenly spaced over the chart's duration; NaN leaves a gap."""
    colour: int = 0
    """Number of the CSS class."""
    deviation: Float[np.ndarray, " N"] | None = None
    """Half width of the band around the curve; None for no band."""
    filled: bool = False
    """Whether the area between the smallest and the largest value of each column is drawn instead of a line."""
    scale: float | None = None
    """Value at the chart's top for a series in its own units, drawn from 0 at the bottom; None for the chart's axis."""


@dataclass
class TimeSpan:
    """A marked interval of time."""

    kind: str
    """Name of the CSS class."""
    start: float
    """Start in seconds."""
    end: float
    """End in seconds; equal to `start` for a moment, which is drawn as a line."""
    title: str = ""
    """Text shown under the pointer."""


@dataclass
class TimeChart:
    """Curves over time with one vertical axis."""

    title: str
    unit: str
    duration: float
    """Length of the horizontal axis in seconds."""
    series: list[TimeSeries]
    spans: list[TimeSpan] = field(default_factory=list)
    y_limits: Limits | None = None
    """Range of the vertical axis; None for `robust_limits` without the outermost 0.1 % of the values."""
    tall: bool = False

    def __post_init__(self) -> None:
        values = [series.values for series in self.series if series.scale is None]
        self.low, self.high = self.y_limits or robust_limits(*values, outliers=0.1, margin=0.08)

    @property
    def y_ticks(self) -> Ticks:
        """Labels and distances from the top in percent."""
        return [(text, self._y(value)) for text, value in nice_ticks(self.low, self.high, 5)]

    @property
    def x_ticks(self) -> Ticks:
        """Labels and distances from the left in percent."""
        ticks = nice_ticks(0, self.duration, 8)
        return [(_clock(value, text), 100 * value / self.duration) for text, value in ticks]

    @property
    def svg(self) -> str:
        """The chart without its labels."""
        parts = [self._span(span) for span in self.spans] + _grid(self.y_ticks, TIME_HEIGHT)
        for series in self.series:
            if series.deviation is not None:
                low = column_extremes(series.values - series.deviation)[0]
                high = column_extremes(series.values + series.deviation)[1]
                parts.append(f'<path class="band c{series.colour}" d="{self._area(low, high, series)}"/>')
            low, high = column_extremes(series.values)
            if series.filled:
                parts.append(f'<path class="area c{series.colour}" d="{self._area(low, high, series)}"/>')
            else:
                parts.append(f'<path class="line c{series.colour}" d="{self._line(low, high, series)}"/>')
        return _svg(parts, TIME_HEIGHT)

    def _y(self, value: float, series: TimeSeries | None = None) -> float:
        low, high = (self.low, self.high) if series is None or series.scale is None else (0.0, series.scale)
        return TIME_HEIGHT * (1 - float(np.clip((value - low) / (high - low), -0.1, 1.1)))

    def _span(self, span: TimeSpan) -> str:
        left = WIDTH * span.start / self.duration
        width = WIDTH * (span.end - span.start) / self.duration
        title = f"<title>{escape(span.title)}</title>" if span.title else ""
        if span.start == span.end:
            return f'<path class="{span.kind}" d="M{left:.1f},0V{TIME_HEIGHT}">{title}</path>'
        size = f'width="{width:.2f}" height="{TIME_HEIGHT}"'
        return f'<rect class="{span.kind}" x="{left:.1f}" y="0" {size}>{title}</rect>'

    def _line(self, low: np.ndarray, high: np.ndarray, series: TimeSeries) -> str:
        """The path through both extremes of each column, which are one point where a column has one value."""
        step, commands, pen_down = WIDTH / max(len(low), 1), [], False
        for column, (a, b) in enumerate(zip(low, high, strict=True)):
            if np.isnan(a):
                pen_down = False
                continue
            x = (column + 0.5) * step
            first, last = (a, b) if column % 2 else (b, a)
            commands.append(f"{'L' if pen_down else 'M'}{x:.1f},{self._y(first, series):.1f}")
            if a != b:
                commands.append(f"V{self._y(last, series):.1f}")
            pen_down = True
        return "".join(commands)

    def _area(self, low: np.ndarray, high: np.ndarray, series: TimeSeries) -> str:
        step, areas = WIDTH / max(len(low), 1), []
        present = ~np.isnan(low)
        edges = np.flatnonzero(np.diff(present.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
        for start, stop in edges:
            upper, lower = (
                [f"{(i + 0.5) * step:.1f},{self._y(edge[i], series):.1f}" for i in range(start, stop)]
                for edge in (high, low)
            )
            areas.append(_closed_path(upper, lower))
        return "".join(areas)


@dataclass
class XYSeries:
    """Points over two axes, or the curve through them."""

    name: str
    x: Float[np.ndarray, " N"]
    y: Float[np.ndarray, " N"]
    colour: int = 0
    """Number of the CSS class."""
    kind: str = "line"
    """CSS class: `line` joins the points, `dots` does not."""


@dataclass
class XYBand:
    """The area between two curves, in the colour of an `XYSeries`."""

    x: Float[np.ndarray, " N"]
    low: Float[np.ndarray, " N"]
    high: Float[np.ndarray, " N"]
    colour: int = 0
    """Number of the CSS class."""


@dataclass
class XYChart:
    """Points and curves over two axes."""

    title: str
    unit: str
    x_limits: Limits
    """Range of the horizontal axis."""
    y_limits: Limits
    """Range of the vertical axis; points outside are drawn at its edge."""
    series: list[XYSeries]
    bands: list[XYBand] = field(default_factory=list)
    guides: list[tuple[str, list[tuple[float, float]]]] = field(default_factory=list)
    """CSS class and corners (x, y) of lines that show no measurement."""
    tall: bool = True

    @property
    def y_ticks(self) -> Ticks:
        """Labels and distances from the top in percent."""
        return [(text, 100 * float(self._y(value)) / XY_HEIGHT) for text, value in nice_ticks(*self.y_limits, 6)]

    @property
    def x_ticks(self) -> Ticks:
        """Labels and distances from the left in percent."""
        return [(text, 100 * float(self._x(value)) / WIDTH) for text, value in nice_ticks(*self.x_limits, 7)]

    @property
    def svg(self) -> str:
        """The chart without its labels."""
        parts = _grid(self.y_ticks, XY_HEIGHT)
        for band in self.bands:
            area = _closed_path(self._points(band.x, band.high), self._points(band.x, band.low))
            parts.append(f'<path class="band c{band.colour}" d="{area}"/>')
        for css_class, corners in self.guides:
            points = self._points(*np.array(corners, float).T)
            parts.append(f'<path class="{css_class}" d="M{"L".join(points)}"/>')
        for series in self.series:
            points = self._points(series.x, series.y)
            # A dot is a line of length 0 with round ends, because that stays round when the chart is scaled.
            path = "M" + ("h0M".join(points) + "h0" if series.kind == "dots" else "L".join(points))
            parts.append(f'<path class="{series.kind} c{series.colour}" d="{path}"/>')
        return _svg(parts, XY_HEIGHT)

    def _points(self, x: np.ndarray, y: np.ndarray) -> list[str]:
        return [f"{left:.1f},{top:.1f}" for left, top in zip(self._x(x), self._y(y), strict=True)]

    def _x(self, value: np.ndarray | float) -> np.ndarray:
        return WIDTH * _fraction(value, self.x_limits)

    def _y(self, value: np.ndarray | float) -> np.ndarray:
        return XY_HEIGHT * (1 - _fraction(value, self.y_limits))


def robust_limits(*values: Float[np.ndarray, "*N"], outliers: float = 0.2, margin: float = 0.06) -> Limits:
    """An axis range that shows all finite values but the outermost ones.

    Args:
        values: arrays of any shape; NaN and infinite values are ignored.
        outliers: percentage of values outside, half of it at each end.
        margin: part of the range that is added at each end.

    Example:
        >>> robust_limits(np.array([0.0, 10.0]), outliers=0.0, margin=0.5)
        (-5.0, 15.0)
    """
    flat = np.concatenate([part.ravel() for part in values]) if values else np.zeros(1)
    flat = flat[np.isfinite(flat)]
    low, high = np.percentile(flat, [outliers / 2, 100 - outliers / 2]) if len(flat) else (0.0, 1.0)
    around = margin * (high - low) or 1.0
    return float(low - around), float(high + around)


def nice_ticks(low: float, high: float, max_ticks: int) -> list[tuple[str, float]]:
    """Round numbers within a range, as text and value: multiples of 1, 2 or 5 times a power of ten.

    Example:
        >>> nice_ticks(2.0, 12.0, 4)
        [('5', 5.0), ('10', 10.0)]
    """
    min_step = (high - low) / max_ticks
    power = 10.0 ** np.floor(np.log10(min_step))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= min_step * (1 - 1e-9))
    decimals = max(0, -int(np.floor(np.log10(step) + 1e-9)))
    numbers = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step
    return [(f"{number + 0.0:.{decimals}f}".replace("-", "\N{MINUS SIGN}"), float(number)) for number in numbers]


def column_extremes(values: Float[np.ndarray, " N"]) -> tuple[Float[np.ndarray, " C"], Float[np.ndarray, " C"]]:
    """The smallest and the largest value in each of at most `WIDTH` columns; NaN where a column has none."""
    if len(values) <= WIDTH:
        return values, values
    edges = np.linspace(0, len(values), WIDTH + 1).round().astype(int)[:-1]
    low = np.fmin.reduceat(values, edges)
    return low, np.fmax.reduceat(values, edges)


def _svg(parts: Sequence[str], height: int) -> str:
    inner = "".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {height}" preserveAspectRatio="none" aria-hidden="true">{inner}</svg>'


def _grid(y_ticks: Ticks, height: int) -> list[str]:
    return [f'<path class="grid" d="M0,{height * top / 100:.1f}H{WIDTH}"/>' for _, top in y_ticks]


def _closed_path(upper: list[str], lower: list[str]) -> str:
    """The outline along the upper points and back along the lower ones."""
    return f"M{'L'.join([*upper, *reversed(lower)])}Z"


def _fraction(value: np.ndarray | float, limits: Limits) -> np.ndarray:
    return np.clip((np.asarray(value) - limits[0]) / (limits[1] - limits[0]), 0, 1)


def _clock(seconds: float, text: str) -> str:
    return f"{text} s" if seconds < 120 else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
