"""Metrics of a video pair: each module declares metrics and computes them, and `evaluate` finds it here.

A new metric is one new file in this folder. Nothing else changes: `report.json`, the page with its chart, the tables of
`dfa-eval` and `dfa-eval compare`, and the LaTeX tables show whatever is registered.

A metric of two images is a function of the predicted and the true image, both [H, W, 3] in [0, 1]:

    from dfa_nerfstudio.evaluation.metric_registry import MetricInfo, image_metric

    INFO = MetricInfo("mae", "MAE", "", "lower", "mean absolute error of pixel values", decimals=4, chart="MAE")

    @image_metric(INFO)
    def mean_absolute_error(prediction, truth, context):
        return float((prediction - truth).abs().mean())

Any other metric is a function of the `EvaluationContext`, which holds frames, audio, landmarks and faces in head space,
and returns `Scores`:

    import numpy as np
    from dfa_nerfstudio.evaluation.metric_registry import MetricInfo, Scores, video_metric

    @video_metric(MetricInfo("nod_range", "Nod range", "degrees", "as the truth", "largest minus smallest pitch"))
    def nod_range(context):
        prediction, truth = (np.ptp(video.axes[:, 1]) for video in (context.faces, context.truth_faces))
        return Scores({"nod_range": float(prediction)}, truth={"nod_range": float(truth)})

A metric that cannot be computed raises a `UserError`: it is left out, and the reason becomes a note in the report.
"""
