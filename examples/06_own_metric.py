"""Own metric: two metrics that `evaluate` and its report then compute as they do their own.

Example:
    python examples/06_own_metric.py people/me

A metric that is to be there for `dfa-eval` too is a file in `dfa_nerfstudio/evaluation/video_metrics/`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Float
from torch import Tensor

import dfa_nerfstudio as dfa
from dfa_nerfstudio.evaluation.evaluation_context import EvaluationContext
from dfa_nerfstudio.evaluation.metric_registry import MetricInfo, Scores, image_metric, video_metric


@image_metric(MetricInfo("colour_error", "Colour error", "", "lower", "error of the mean colour", decimals=4))
def colour_error(
    prediction: Float[Tensor, "H W 3"], truth: Float[Tensor, "H W 3"], context: EvaluationContext
) -> float:
    """Mean absolute error of the mean colour, 0 to 1."""
    return float((prediction.mean((0, 1)) - truth.mean((0, 1))).abs().mean())


@video_metric(MetricInfo("flicker", "Flicker", "", "as the truth", "mean change from one frame to the next"))
def flicker(context: EvaluationContext) -> Scores:
    """Mean absolute difference of neighbouring frames, 0 to 255, of the prediction and of the truth."""
    pair = context.pair
    predicted, true = (
        float(np.abs(np.diff(video.astype(np.float32), axis=0)).mean()) for video in (pair.prediction, pair.truth)
    )
    return Scores({"flicker": predicted}, truth={"flicker": true})


def main(run: tyro.conf.Positional[Path]) -> None:
    """Evaluates a run and prints both metrics.

    Args:
        run: the run's `config.yml`, or a folder that contains it.
    """
    evaluation = dfa.evaluate(run, dfa.EvaluationConfig(protocols=("full",)))
    print(f"colour error: {evaluation.image_metrics['full']['colour_error']:.4f}")
    print(f"flicker: {evaluation.metrics['flicker']:.2f}, of the true video {evaluation.truth['flicker']:.2f}")


if __name__ == "__main__":
    tyro.cli(main)
