"""Agreement of a predicted aperture of mouth or eyes with the true one: amplitude, correlation, recall of extremes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

EXTREME_SHARE = 0.15
"""Share of the frames, those with the smallest or the largest true aperture, that count as closed or as wide open."""


class CurveAgreement(NamedTuple):
    """How well a predicted curve agrees with the true one."""

    amplitude_ratio: float
    """Standard deviation of the prediction over that of the truth."""
    correlation: float
    """Correlation with the truth."""
    closed_recall: float
    """Share of the frames with the smallest true values in which the prediction is as small."""
    open_recall: float
    """Share of the frames with the largest true values in which the prediction is as large."""


def curve_agreement(predicted: Float[np.ndarray, " T"], truth: Float[np.ndarray, " T"]) -> CurveAgreement:
    """Compares two curves over the frames in which both are finite.

    A frame counts as closed if its true value is not above the quantile of `EXTREME_SHARE`, and the prediction is as
    small if it is not above that quantile of the truth; likewise for wide open. Both recalls together cannot be raised
    by an offset. All values are NaN if the truth is constant; the correlation also if the prediction is.

    Example:
        >>> curve_agreement(np.array([0.0, 1.0, 0.0, 1.0]), np.array([1.0, 3.0, 1.0, 3.0]))[:2]
        (0.5, 1.0)
    """
    both = np.isfinite(predicted) & np.isfinite(truth)
    predicted, truth = predicted[both], truth[both]
    if not len(predicted) or not truth.std():
        return CurveAgreement(*[float("nan")] * 4)
    low, high = np.quantile(truth, [EXTREME_SHARE, 1 - EXTREME_SHARE])
    return CurveAgreement(
        float(predicted.std() / truth.std()),
        float(np.corrcoef(predicted, truth)[0, 1]) if predicted.std() else float("nan"),
        float((predicted[truth <= low] <= low).mean()),
        float((predicted[truth >= high] >= high).mean()),
    )
