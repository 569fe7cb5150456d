"""Registry of the metrics that `evaluate` computes; `evaluation.video_metrics` shows how to add one.

A metric is a function with one of two decorators. `image_metric` is for a function of two images, which is evaluated
on each scored frame under each protocol and averaged. `video_metric` is for everything else: a function of the
`EvaluationContext`.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Generic, Literal, TypeVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.evaluation import video_metrics as package
from dfa_nerfstudio.evaluation.evaluation_context import EvaluationContext

Better = Literal["higher", "lower", "as the truth"]

LAST = 1000
"""Position in reports of a metric that asks for none: after all others."""


@dataclass(frozen=True)
class MetricInfo:
    """Name, unit and meaning of one metric."""

    name: str
    """Key in `report.json`."""
    label: str
    """Name in tables, without the unit."""
    unit: str
    """Unit of the value; empty for a plain number."""
    better: Better
    """Which values are better. "as the truth": the truth's own value or, where the truth has none, 1."""
    description: str
    """What the value means, in a few words."""
    decimals: int = 2
    """Decimal places in tables."""
    chart: str = ""
    """Title of the page's chart over time; metrics with one title share a chart. Empty for no chart."""

    def title(self, protocol: str = "") -> str:
        """Label with the protocol, where there is one, and the unit."""
        return f"{self.label}{f' ({protocol})' if protocol else ''}{f', {self.unit}' if self.unit else ''}"

    def format(self, value: float | None) -> str:
        """A value with the metric's decimal places; empty for None."""
        return "" if value is None else f"{value:.{self.decimals}f}"


@dataclass
class Scores:
    """Return value of a video metric."""

    values: dict[str, float]
    """Values of the prediction by metric name; NaN is left out of the report."""
    truth: dict[str, float] = field(default_factory=dict)
    """Values of the truth by metric name, for metrics of a single video."""
    curves: dict[str, Float[np.ndarray, " T"]] = field(default_factory=dict)
    """Values in each frame by metric name or any other name, NaN where nothing is measured."""
    offset_curves: dict[str, Float[np.ndarray, " O"]] = field(default_factory=dict)
    """Agreement of lips and audio by offset, from -15 to 15 frames."""


ImageMetric = Callable[[Float[Tensor, "H W 3"], Float[Tensor, "H W 3"], EvaluationContext], float]
VideoMetric = Callable[[EvaluationContext], Scores]
_F = TypeVar("_F", ImageMetric, VideoMetric)


@dataclass(frozen=True)
class Metric(Generic[_F]):
    """A registered function and the metrics that it computes."""

    compute: _F
    infos: tuple[MetricInfo, ...]
    position: int
    """Rank in reports, ascending; ties are in alphabetical order of the modules."""

    def check(self, scores: Scores) -> None:
        """Checks that the values belong to declared metrics.

        Raises:
            ValueError: if the decorator does not name one of them.
        """
        if unknown := {*scores.values, *scores.truth} - {info.name for info in self.infos}:
            raise ValueError(f"{self.compute.__module__}: returns {unknown.pop()!r}, which its decorator does not name")


_image_metrics: list[Metric[ImageMetric]] = []
_video_metrics: list[Metric[VideoMetric]] = []


def image_metric(info: MetricInfo, position: int = LAST) -> Callable[[ImageMetric], ImageMetric]:
    """Registers a function of a predicted image, the true one (both [H, W, 3] in [0, 1]) and the context.

    Args:
        info: the metric.
        position: rank in reports, ascending; by default after all others.
    """

    def register(function: ImageMetric) -> ImageMetric:
        _add(_image_metrics, Metric(function, (info,), position))
        return function

    return register


def video_metric(*infos: MetricInfo, position: int = LAST) -> Callable[[VideoMetric], VideoMetric]:
    """Registers a function of the context that computes one or several metrics of the video.

    Args:
        *infos: the metrics.
        position: rank in reports, ascending; by default after all others.
    """

    def register(function: VideoMetric) -> VideoMetric:
        _add(_video_metrics, Metric(function, infos, position))
        return function

    return register


def registered_image_metrics() -> list[Metric[ImageMetric]]:
    """The registered image metrics in the order of reports."""
    _import_modules()
    return sorted(_image_metrics, key=lambda metric: metric.position)


def registered_video_metrics() -> list[Metric[VideoMetric]]:
    """The registered video metrics in the order of reports."""
    _import_modules()
    return sorted(_video_metrics, key=lambda metric: metric.position)


def metric_infos() -> dict[str, MetricInfo]:
    """All metrics by name, in the order of reports."""
    return {
        info.name: info
        for metric in (*registered_image_metrics(), *registered_video_metrics())
        for info in metric.infos
    }


def _add(registered: list[Metric[_F]], metric: Metric[_F]) -> None:
    taken = {info.name for other in (*_image_metrics, *_video_metrics) for info in other.infos}
    if taken & {info.name for info in metric.infos}:
        raise ValueError(f"{metric.compute.__module__}: another metric has the same name; give it another")
    registered.append(metric)


def _import_modules() -> None:
    """Imports the modules of `evaluation.video_metrics`, which register their metrics."""
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        import_module(module.name)
