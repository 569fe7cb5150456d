"""Evaluation of a video pair: all registered metrics in one report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from rich.progress import track

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.evaluation_context import EvaluationContext, PretrainedScorers
from dfa_nerfstudio.evaluation.landmark_track import LandmarkTrack
from dfa_nerfstudio.evaluation.metric_registry import registered_image_metrics, registered_video_metrics
from dfa_nerfstudio.evaluation.protocols import PROTOCOLS, Protocol, crops
from dfa_nerfstudio.evaluation.video_pairs import VideoPair
from dfa_nerfstudio.reporting.progress import report_progress


@dataclass
class EvaluationConfig:
    """Protocols, pretrained scorers and additional audio."""

    protocols: tuple[Protocol, ...] = PROTOCOLS
    """Parts of the frames that the image metrics score: *full*, *head* (true torso and background pasted in) and *face*
    (the face crop)."""
    lpips_weights: Path | None = None
    """AlexNet's weights as torchvision publishes them (alexnet-owt-7be5be79.pth); by default searched for in
    torch's cache. Without them LPIPS is left out."""
    syncnet_weights: Path | None = None
    """SyncNet's weights (syncnet_v2.model). Without them LSE-C and LSE-D are left out."""
    sync_encoders: Path | None = None
    """Models by `dfa-attributes pretrain` that score lips and audio; by default the package's own, trained on GRID
    alone. They must not be trained on the person who is scored."""
    speech: tuple[Path, ...] = ()
    """Audio files for which a model renders further videos, with generated head motion, whose lips and audio are scored
    too: a held-out end of a few seconds gives an unreliable score."""


@dataclass
class Evaluation:
    """Metrics of one video pair, as in `report.json`."""

    name: str
    source: str
    """Origin of the frames."""
    frames: int
    """Frames in the pair."""
    scored: int
    """Frames that are scored."""
    size: tuple[int, int]
    """Width and height in pixels."""
    image_metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    """Values of the image metrics by protocol and name."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Values of the video metrics by name."""
    truth: dict[str, float] = field(default_factory=dict)
    """The truth's own values of video metrics that a single video has."""
    missing: dict[str, int] = field(default_factory=dict)
    """Frames without a face in each video; face metrics leave them out."""
    curves: dict[str, list[float]] = field(default_factory=dict)
    """Values by frame; NaN where nothing is measured."""
    offset_curves: dict[str, list[float]] = field(default_factory=dict)
    """Agreement of lips and audio by offset, from -15 to 15 frames; a positive offset means that the audio is late."""
    notes: list[str] = field(default_factory=list)
    """Remarks for the reader."""

    def metric(self, protocol: str, name: str) -> float | None:
        """Value of a metric, None if it was not measured; `protocol` is empty for video metrics."""
        return (self.image_metrics.get(protocol, {}) if protocol else self.metrics).get(name)


def evaluate(pair: VideoPair, config: EvaluationConfig, truth_landmarks: LandmarkTrack | None = None) -> Evaluation:
    """Computes all metrics; those that cannot be computed are left out, with a note.

    Args:
        pair: the two videos.
        config: protocols and pretrained scorers.
        truth_landmarks: landmarks of the true video, if they are known from another evaluation; otherwise it is
            tracked.

    Raises:
        UserError: if weights cannot be read, or a protocol needs faces and the truth shows too few.
    """
    scorers = PretrainedScorers.load(config.lpips_weights, config.sync_encoders, config.syncnet_weights)
    context = EvaluationContext(pair, scorers)
    if truth_landmarks is not None:
        context.truth_landmarks = truth_landmarks
    height, width = pair.truth.shape[1:3]
    result = Evaluation(pair.name, pair.source, len(pair), int(pair.valid_frames.sum()), (width, height))
    result.missing = {
        name: int((~landmarks.found).sum())
        for name, landmarks in (("truth", context.truth_landmarks), ("prediction", context.landmarks))
    }
    needs_faces = any(protocol != "full" for protocol in config.protocols)
    landmarks = context.truth_faces.image_landmarks if needs_faces else None
    for protocol in config.protocols:
        curves = _image_metric_curves(context, protocol, landmarks)
        result.image_metrics[protocol] = {
            name: float(np.nanmean(values)) for name, values in curves.items() if np.isfinite(values).any()
        }
        result.curves |= {f"{name}, {protocol}": _rounded(values) for name, values in curves.items()}
    for metric in registered_video_metrics():
        report_progress("evaluation: video")
        try:
            scores = metric.compute(context)
        except UserError as reason:
            context.note(str(reason))
            continue
        metric.check(scores)
        result.metrics |= {name: value for name, value in scores.values.items() if not math.isnan(value)}
        result.truth |= {name: value for name, value in scores.truth.items() if not math.isnan(value)}
        result.curves |= {name: _rounded(values) for name, values in scores.curves.items()}
        result.offset_curves |= {name: _rounded(values) for name, values in scores.offset_curves.items()}
    result.notes = context.notes
    return result


@torch.no_grad()
def _image_metric_curves(
    context: EvaluationContext, protocol: Protocol, landmarks: Float[np.ndarray, "T 478 2"] | None
) -> dict[str, Float[np.ndarray, " T"]]:
    """Values of the image metrics in each frame, NaN in frames that are not scored."""
    pair, metrics = context.pair, {metric.infos[0].name: metric for metric in registered_image_metrics()}
    curves = {name: np.full(len(pair), np.nan) for name in metrics}
    frames = zip(pair.prediction, pair.truth, crops(protocol, pair.truth, landmarks), strict=True)
    for number, (*both, crop) in enumerate(track(frames, f"protocol {protocol}", total=len(pair), transient=True)):
        report_progress(f"evaluation: {protocol}", number / len(pair))
        if not pair.valid_frames[number]:
            continue
        prediction, truth = (torch.from_numpy(crop(frame).astype(np.float32)) / 255 for frame in both)
        for name in list(curves):
            try:
                curves[name][number] = metrics[name].compute(prediction, truth, context)
            except UserError as reason:
                context.note(str(reason))
                del curves[name]
    return curves


def _rounded(values: Sequence[float] | np.ndarray) -> list[float]:
    return [round(float(value), 5) for value in values]
