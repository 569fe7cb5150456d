"""One number against another as SVG that stretches with the page; `svg_chart` draws numbers over time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from dfa_nerfstudio.reporting.svg_chart import nice_ticks

WIDTH, HEIGHT = 1000, 400
"""Units of the plot."""

Limits = tuple[float, float]


@dataclass
class Marks:
    """Points, or the curve through them."""

    name: str
    across: Float[np.ndarray, " N"]
    up: Float[np.ndarray, " N"]
    colour: int = 0
    """Number of the CSS class."""
    kind: str = "line"
    """CSS class: `line` joins the points, `dots` does not."""


@dataclass
class Band:
    """The area between two curves, in the colour of `Marks`."""

    across: Float[np.ndarray, " N"]
    low: Float[np.ndarray, " N"]
    high: Float[np.ndarray, " N"]
    colour: int = 0


@dataclass
class Plot:
    """Points and curves over two axes; to a template it is what `svg_chart.Chart` is."""

    title: str
    unit: str
    across: Limits
    """Of the horizontal axis."""
    up: Limits
    """Of the vertical axis; what lies outside is drawn at its edge."""
    series: list[Marks]
    bands: list[Band] = field(default_factory=list)
    guides: list[tuple[str, list[tuple[float, float]]]] = field(default_factory=list)
    """CSS class and corners of lines that are no measurement."""
    tall: bool = True

    @property
    def ticks(self) -> list[tuple[str, float]]:
        """Label and distance from the top in percent."""
        return [(text, 100 * float(self._y(value)) / HEIGHT) for text, value in nice_ticks(*self.up, 6)]

    @property
    def times(self) -> list[tuple[str, float]]:
        """Label and distance from the left in percent."""
        return [(text, 100 * float(self._x(value)) / WIDTH) for text, value in nice_ticks(*self.across, 7)]

    @property
    def svg(self) -> str:
        """The plot."""
        parts = [f'<path class="grid" d="M0,{HEIGHT * top / 100:.1f}H{WIDTH}"/>' for _, top in self.ticks]
        for band in self.bands:
            there = self._places(band.across, band.high)
            back = self._places(band.across, band.low)[::-1]
            parts.append(f'<path class="band c{band.colour}" d="M{"L".join([*there, *back])}Z"/>')
        for name, corners in self.guides:
            places = self._places(*np.array(corners, float).T)
            parts.append(f'<path class="{name}" d="M{"L".join(places)}"/>')
        for marks in self.series:
            places = self._places(marks.across, marks.up)
            # A dot is a line of no length with round ends: it stays round however the plot is stretched.
            drawn = "M" + ("h0M".join(places) + "h0" if marks.kind == "dots" else "L".join(places))
            parts.append(f'<path class="{marks.kind} c{marks.colour}" d="{drawn}"/>')
        inner = "".join(parts)
        return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">{inner}</svg>'

    def _places(self, across: np.ndarray, up: np.ndarray) -> list[str]:
        return [f"{x:.1f},{y:.1f}" for x, y in zip(self._x(across), self._y(up), strict=True)]

    def _x(self, value: np.ndarray | float) -> np.ndarray:
        return WIDTH * _share(value, self.across)

    def _y(self, value: np.ndarray | float) -> np.ndarray:
        return HEIGHT * (1 - _share(value, self.up))


def limits(*values: Float[np.ndarray, "*N"], margin: float = 0.06) -> Limits:
    """What shows all but the outermost thousandth of the values."""
    low, high = np.percentile(np.concatenate([part.ravel() for part in values]), [0.1, 99.9])
    around = margin * (high - low) or 1.0
    return float(low - around), float(high + around)


def _share(value: np.ndarray | float, span: Limits) -> np.ndarray:
    return np.clip((np.asarray(value) - span[0]) / (span[1] - span[0]), 0, 1)
