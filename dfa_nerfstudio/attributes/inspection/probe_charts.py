"""Charts of linear probes: mouth and eye opening predicted from f_m, f_e and f_a, against the true openings."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.disentanglement_metrics import PROBE_RIDGE, composed_faces
from dfa_nerfstudio.attributes.inspection.inspection_subject import InspectionSubject
from dfa_nerfstudio.attributes.linear_probe import ridge_correlation, ridge_predict
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.reporting.charts import TimeChart, TimeSeries, XYChart, XYSeries, robust_limits

MAX_DOTS = 600
"""Composed faces in a scatter chart."""
PERCENT = 100
"""Openings are drawn in percent of the outer eye corner distance."""


def scatter_charts(subject: InspectionSubject, metrics: dict[str, float]) -> list[XYChart]:
    """Opening predicted linearly from each embedding against the true one, for composed faces.

    If the embedding encodes the opening, the dots lie on the diagonal; if not, they lie on a horizontal line.

    Args:
        subject: the inspected person.
        metrics: R2 of the probes, by the names of `disentanglement_metrics.probe_metrics`.
    """
    generator = torch.Generator().manual_seed(0)
    fitted, tested = (
        composed_faces(subject.models.autoencoder, subject.landmarks[subject.valid_indices(part)], generator)
        for part in (subject.training, subject.inspected)
    )
    charts = []
    for value, (target, sides) in enumerate((("mouth opening", ["mouth"]), ("eye opening", ["left eye", "right eye"]))):
        true = PERCENT * tested[1][value].numpy()
        limits = robust_limits(true)
        for feature, name in enumerate(("f_m", "f_e")):
            probed = ridge_predict((fitted[0][feature], fitted[1][value]), tested[0][feature], PROBE_RIDGE).numpy()
            probed = PERCENT * probed
            series = [
                XYSeries(side, true[:MAX_DOTS, i], probed[:MAX_DOTS, i], i, "dots") for i, side in enumerate(sides)
            ]
            r2 = f"R² {metrics[f'{target} from {name}, R2']:.2f}".replace("-", "\N{MINUS SIGN}")
            diagonal = ("diagonal", [(limits[0], limits[0]), (limits[1], limits[1])])
            charts.append(XYChart(f"{target.capitalize()} from {name}", r2, limits, limits, series, guides=[diagonal]))
    return charts


def mouth_chart(subject: InspectionSubject) -> tuple[TimeChart, float]:
    """Chart of the mouth opening over the inspected part, true and predicted from f_a, and their correlation.

    The probe is fitted on training frames.
    """
    part, opening = subject.inspected, torch.from_numpy(subject.clip.mouth_opening)[:, None] * PERCENT
    training = subject.valid_indices(subject.training)
    audio = subject.models.clip_audio(subject.clip.mfcc)
    fitted = (audio[training], opening[training])
    probed = ridge_predict(fitted, audio[part])[:, 0]
    tested = subject.valid_indices(part)
    correlation = ridge_correlation(fitted, (audio[tested], opening[tested]))[0]
    valid = subject.clip.shot[part] >= 0

    def with_gaps(values: Float[Tensor, " N"]) -> Float[np.ndarray, " N"]:
        return np.where(valid, values.numpy(), np.nan)

    series = [
        TimeSeries("true", with_gaps(opening[part][:, 0]), 3),
        TimeSeries("predicted from f_a", with_gaps(probed), 0),
    ]
    duration = len(valid) / FRAME_RATE
    return TimeChart("Mouth opening", "% of the eye distance", duration, series, tall=True), correlation
