"""Image quality metrics, for each protocol: PSNR, SSIM, MS-SSIM, LPIPS and sharpness."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.evaluation_context import EvaluationContext
from dfa_nerfstudio.evaluation.metric_registry import MetricInfo, image_metric
from dfa_nerfstudio.metrics import image_metrics

Image = Float[Tensor, "H W 3"]


@image_metric(MetricInfo("psnr", "PSNR", "dB", "higher", "mean over frames of the dB of each", chart="PSNR"), 100)
def psnr(prediction: Image, truth: Image, context: EvaluationContext) -> float:
    """Peak signal-to-noise ratio in dB."""
    return float(image_metrics.psnr(prediction, truth))


@image_metric(
    MetricInfo("ssim", "SSIM", "", "higher", "scikit-image's, Gaussian window of 1.5 pixels", 4, chart="SSIM"), 110
)
def ssim(prediction: Image, truth: Image, context: EvaluationContext) -> float:
    """Structural similarity."""
    return image_metrics.ssim(prediction, truth)


@image_metric(MetricInfo("ms_ssim", "MS-SSIM", "", "higher", "five scales; none below 161 pixels", 4), 120)
def ms_ssim(prediction: Image, truth: Image, context: EvaluationContext) -> float:
    """Multi-scale structural similarity; NaN for crops that are too small.

    Raises:
        UserError: if whole frames are too small.
    """
    side, needed = min(context.pair.truth.shape[1:3]), image_metrics.MIN_MS_SSIM_SIDE
    if side < needed:
        raise UserError(f"MS-SSIM needs frames of {needed} pixels, these have {side}: left out")
    return image_metrics.ms_ssim(prediction, truth)


@image_metric(MetricInfo("lpips", "LPIPS", "", "lower", "version 0.1, AlexNet", 4), 130)
def lpips(prediction: Image, truth: Image, context: EvaluationContext) -> float:
    """Learned perceptual distance.

    Raises:
        UserError: without AlexNet's weights.
    """
    if context.scorers.lpips is None:
        raise UserError("LPIPS needs AlexNet's weights (`lpips_weights`): left out")
    return float(context.scorers.lpips(*(image.permute(2, 0, 1)[None] for image in (prediction, truth))))


@image_metric(
    MetricInfo("sharpness", "Sharpness", "ratio", "as the truth", "variance of the Laplacian over the truth's"), 140
)
def sharpness(prediction: Image, truth: Image, context: EvaluationContext) -> float:
    """Variance of the Laplacian relative to the truth's; 1 is equally sharp."""
    return image_metrics.sharpness(prediction) / max(image_metrics.sharpness(truth), 1e-12)
