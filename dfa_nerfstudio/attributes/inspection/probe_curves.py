"""Mouth and eye opening as they can be read from f_m, f_e and f_a, beside the true ones."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.attributes.disentanglement_metrics import RIDGE, composed_faces
from dfa_nerfstudio.attributes.inspection.inspection_subject import Subject
from dfa_nerfstudio.attributes.linear_probe import linear_reading, ridge_correlation
from dfa_nerfstudio.media.rates import FRAME_RATE
from dfa_nerfstudio.reporting.scatter_plot import Marks, Plot, limits
from dfa_nerfstudio.reporting.svg_chart import Chart, Series

DOTS = 600
"""Composed faces in a scatter plot."""
PER_EYE_DISTANCE = 100
"""Openings are drawn in percent of the distance of the outer eye corners."""


def scatter_plots(subject: Subject, figures: dict[str, float]) -> list[Plot]:
    """Each opening as read linearly from each embedding against the true one, on composed faces.

    A reading that works lies on the diagonal; one that has nothing to read lies level.

    Args:
        subject: what is looked at.
        figures: R2 of the readings, as `disentanglement.readings` names them.
    """
    generator = torch.Generator().manual_seed(0)
    fitted, scored = (
        composed_faces(subject.models.autoencoder, subject.landmarks[subject.rows(part)], generator)
        for part in (subject.training, subject.shown)
    )
    plots = []
    for value, (what, sides) in enumerate((("mouth opening", ["mouth"]), ("eye opening", ["left eye", "right eye"]))):
        true = PER_EYE_DISTANCE * scored[1][value].numpy()
        edge = limits(true)
        for feature, name in enumerate(("f_m", "f_e")):
            read = linear_reading((fitted[0][feature], fitted[1][value]), scored[0][feature], RIDGE).numpy()
            read = PER_EYE_DISTANCE * read
            marks = [Marks(side, true[:DOTS, i], read[:DOTS, i], i, "dots") for i, side in enumerate(sides)]
            r2 = f"R² {figures[f'{what} from {name}, R2']:.2f}".replace("-", "\N{MINUS SIGN}")
            diagonal = ("diagonal", [(edge[0], edge[0]), (edge[1], edge[1])])
            plots.append(Plot(f"{what.capitalize()} from {name}", r2, edge, edge, marks, guides=[diagonal]))
    return plots


def mouth_chart(subject: Subject) -> tuple[Chart, float]:
    """Mouth opening over the part that is looked at, true and read from f_a, and the correlation of the two.

    The reading is fitted on training frames.
    """
    part, opening = subject.shown, torch.from_numpy(subject.clip.mouth_opening)[:, None] * PER_EYE_DISTANCE
    trained = subject.rows(subject.training)
    audio = subject.models.clip_audio(subject.clip.mfcc)
    fitted = (audio[trained], opening[trained])
    read = linear_reading(fitted, audio[part])[:, 0]
    seen = subject.rows(part)
    correlation = ridge_correlation(fitted, (audio[seen], opening[seen]))[0]
    usable = subject.clip.shot[part] >= 0

    def gaps(values: Float[Tensor, " N"]) -> Float[np.ndarray, " N"]:
        return np.where(usable, values.numpy(), np.nan)

    series = [Series("true", gaps(opening[part][:, 0]), 3), Series("read from f_a", gaps(read), 0)]
    duration = len(usable) / FRAME_RATE
    return Chart("Mouth opening", "% of the eye distance", duration, series, tall=True), correlation
