"""All figures of a pair of videos."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from rich.progress import track

from dfa_nerfstudio.attributes.pretrained_models import GeneralModels
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation import landmark_distance
from dfa_nerfstudio.evaluation.aperture import agreement
from dfa_nerfstudio.evaluation.cross_driven import Speech
from dfa_nerfstudio.evaluation.landmark_track import Sightings
from dfa_nerfstudio.evaluation.motion.blink_rate import Blinking
from dfa_nerfstudio.evaluation.motion.pose_axes import ANGLES, AXES, PLACES
from dfa_nerfstudio.evaluation.motion.pose_error import pose_error, pose_range
from dfa_nerfstudio.evaluation.protocols import PROTOCOLS, Protocol, cuts
from dfa_nerfstudio.evaluation.reference_head import Faces, ReferenceHead
from dfa_nerfstudio.evaluation.sync.av_sync import ENCODERS, OwnSync, own_sync
from dfa_nerfstudio.evaluation.sync.syncnet import SyncNet, syncnet_score
from dfa_nerfstudio.evaluation.video_pairs import Pair
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.media.timeline import Timeline
from dfa_nerfstudio.metrics.image_metrics import LEAST_SIDE, ms_ssim, psnr, sharpness, ssim
from dfa_nerfstudio.metrics.jitter import jitter
from dfa_nerfstudio.metrics.lpips import Lpips

SHIFTED = 5
"""Frames by which the sound of `sync_shifted` comes late."""

Curves = dict[str, Float[np.ndarray, " T"]]


@dataclass
class EvaluationConfig:
    """What is measured, and by what."""

    protocols: tuple[Protocol, ...] = PROTOCOLS
    """What of the pictures is scored: *full*, *head* (true torso and background pasted) and *face* (the crop)."""
    lpips_weights: Path | None = None
    """AlexNet's weights as torchvision publishes them (alexnet-owt-7be5be79.pth); where they lie in torch's cache they
    are found. Without them LPIPS is left out."""
    syncnet_weights: Path | None = None
    """SyncNet's weights (syncnet_v2.model). Without them LSE-C and LSE-D are left out."""
    sync_encoders: Path | None = None
    """Models by `dfa-attributes pretrain` that judge lips and sound; by default the package's own, which have learnt
    from GRID alone. They must not have learnt from the person who is scored."""
    speech: tuple[Path, ...] = ()
    """With --load-config: audio files that the model says too, with generated head motion. Lips and sound are then
    judged there as well, for a held-out end of a few seconds says little of them."""


@dataclass
class Evaluation:
    """The figures of one pair."""

    name: str
    source: str
    frames: int
    scored: int
    """Frames whose pictures are scored."""
    size: tuple[int, int]
    pictures: dict[str, dict[str, float]] = field(default_factory=dict)
    """`catalogue.PICTURES` by protocol."""
    figures: dict[str, float] = field(default_factory=dict)
    """`catalogue.FACES` and `catalogue.SYNC`."""
    truth: dict[str, float] = field(default_factory=dict)
    """The truth's own, of those figures that it has."""
    missing: dict[str, int] = field(default_factory=dict)
    """Frames without a face, by video; they are left out of all that is measured on faces."""
    curves: dict[str, list[float]] = field(default_factory=dict)
    """By frame; NaN where nothing is measured."""
    offsets: dict[str, list[float]] = field(default_factory=dict)
    """Agreement of lips and sound by offset, from -15 to 15 frames."""
    notes: list[str] = field(default_factory=list)

    def figure(self, protocol: str, name: str) -> float | None:
        """One figure; `protocol` is empty for what is not measured by protocol. None where it was not measured."""
        return (self.pictures.get(protocol, {}) if protocol else self.figures).get(name)


def evaluate(pair: Pair, config: EvaluationConfig) -> Evaluation:
    """Measures everything that can be measured; what cannot is noted.

    Raises:
        UserError: if weights cannot be read, or a protocol needs faces that are not there.
    """
    height, width = pair.truth.shape[1:3]
    result = Evaluation(pair.name, pair.source, len(pair), int(pair.valid_frames.sum()), (width, height))
    result.notes += pair.notes
    judges = Judges.of(config, result.notes)
    true_seen, seen = (
        Sightings.of(track(video, f"faces of the {name}", transient=True))
        for name, video in (("truth", pair.truth), ("pictures", pair.pictures))
    )
    result.missing = {"truth": int((~true_seen.found).sum()), "pictures": int((~seen.found).sum())}
    truth = faces = None
    try:
        head = ReferenceHead(true_seen, "the truth", pair.focal)
        truth, faces = head.faces(true_seen), head.faces(seen)
    except UserError as error:
        if set(config.protocols) - {"full"}:
            raise
        result.notes.append(str(error))
    for protocol in config.protocols:
        marks = None if truth is None else truth.pixels
        result.pictures[protocol], curve = _score_pictures(pair, protocol, marks, judges.lpips)
        result.curves |= {f"{name}, {protocol}": _listed(values) for name, values in curve.items()}
    if min(height, width) < LEAST_SIDE:
        result.notes.append(f"MS-SSIM needs {LEAST_SIDE} pixels, the pictures have {min(height, width)}: left out")
    if truth is not None:
        if faces is None:
            result.notes.append("the pictures show hardly any face: nothing is measured on faces")
        else:
            _score_faces(result, faces, truth, pair.valid_frames)
        _score_sync(result, judges, pair, head, faces, truth)
        _score_speeches(result, judges.encoders, head, pair.speeches)
    result.figures, result.truth = (
        {name: value for name, value in figures.items() if not math.isnan(value)}
        for figures in (result.figures, result.truth)
    )
    return result


@dataclass
class Judges:
    """Networks that judge; None where their weights must be given and were not."""

    lpips: Lpips | None
    encoders: GeneralModels
    syncnet: SyncNet | None

    @classmethod
    def of(cls, config: EvaluationConfig, notes: list[str]) -> Judges:
        """Loads what is there, before anything is measured, and notes what is not."""
        cached = Path(torch.hub.get_dir()) / "checkpoints" / "alexnet-owt-7be5be79.pth"
        lpips = config.lpips_weights or (cached if cached.is_file() else None)
        if lpips is None:
            notes.append("no weights for LPIPS (--lpips-weights): left out")
        if config.syncnet_weights is None:
            notes.append("no weights of SyncNet (--syncnet-weights): LSE-C and LSE-D are left out")
        return cls(
            None if lpips is None else Lpips(lpips).eval(),
            GeneralModels.load(config.sync_encoders or ENCODERS),
            None if config.syncnet_weights is None else SyncNet(config.syncnet_weights),
        )


@torch.no_grad()
def _score_pictures(
    pair: Pair, protocol: Protocol, landmarks: Float[np.ndarray, "T 478 2"] | None, lpips: Lpips | None
) -> tuple[dict[str, float], Curves]:
    rows: list[dict[str, float]] = []
    regions = cuts(protocol, pair.truth, landmarks)
    frames = zip(pair.pictures, pair.truth, regions, pair.valid_frames, strict=True)
    for picture, truth, cut, valid_frames in track(frames, f"protocol {protocol}", total=len(pair), transient=True):
        if not valid_frames:
            rows.append({})
            continue
        mine, true = (torch.from_numpy(cut(part).astype(np.float32)) / 255 for part in (picture, truth))
        row = {
            "psnr": float(psnr(mine, true)),
            "ssim": ssim(mine, true),
            "ms_ssim": ms_ssim(mine, true),
            "sharpness": sharpness(mine) / max(sharpness(true), 1e-12),
        }
        if lpips is not None:
            row["lpips"] = float(lpips(*(part.permute(2, 0, 1)[None] for part in (mine, true))))
        rows.append(row)
    names = next(row for row in rows if row)
    curves = {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}
    return {name: float(np.nanmean(values)) for name, values in curves.items() if np.isfinite(values).any()}, curves


def _score_faces(result: Evaluation, faces: Faces, truth: Faces, valid_frames: np.ndarray) -> None:
    both = faces.found & truth.found & valid_frames
    unit = landmark_distance.eye_distance(truth.pixels)
    upper, lower = landmark_distance.part_errors(faces.front, truth.front)
    lips = landmark_distance.lmd(faces.pixels, truth.pixels)
    face = landmark_distance.face_lmd(faces.pixels, truth.pixels)
    curves = {
        "lmd": lips,
        "lmd_eyes": 100 * lips / unit,
        "face_lmd": face,
        "face_lmd_eyes": 100 * face / unit,
        "upper_face": upper,
        "lower_face": lower,
    }
    figures = {name: float(values[both].mean()) for name, values in curves.items()}
    eyes, true_eyes = faces.eye_opening.mean(1), truth.eye_opening.mean(1)
    for part, mine, true in (
        (("mouth_moves", "mouth_follows"), faces.mouth_opening, truth.mouth_opening),
        (("eyes_move", "eyes_follow"), eyes, true_eyes),
    ):
        figures |= dict(zip(part, agreement(mine[both], true[both]), strict=True))
    span = pose_range(truth.axes[truth.found])
    turned = faces.axes.copy()
    turned[:, ANGLES] = truth.axes[:, ANGLES] + (faces.axes[:, ANGLES] - truth.axes[:, ANGLES] + 180) % 360 - 180
    figures["d_rot"], figures["d_pos"] = pose_error(turned[both], truth.axes[both], span)
    for video, store in ((faces, figures), (truth, result.truth)):
        blinking = Blinking.of(video.eye_opening)
        store["blink_rate"], store["blink_duration"] = blinking.rate, blinking.duration
        store["jitter_rotation"] = _jitter(video.axes[:, ANGLES], video.found)
        store["jitter_place"] = 100 * _jitter(video.axes[:, PLACES][:, :2], video.found)
    result.figures |= figures
    seen = np.where(both, 1.0, np.nan)
    pairs = {
        "mouth opening": (faces.mouth_opening, truth.mouth_opening),
        "eye opening": (eyes, true_eyes),
        **{name: (turned[:, axis], truth.axes[:, axis]) for axis, name in enumerate(AXES)},
    }
    result.curves |= {name: _listed(values * seen) for name, values in curves.items()}
    true_seen = np.where(truth.found, 1.0, np.nan)
    for name, (mine, true) in pairs.items():
        result.curves |= {name: _listed(mine * seen), f"{name}, truth": _listed(true * true_seen)}


def _jitter(values: Float[np.ndarray, "T A"], found: np.ndarray) -> float:
    return jitter(values, Timeline.of(len(found), len(found)).without(~found).stretches())


def _score_sync(
    result: Evaluation,
    judges: Judges,
    pair: Pair,
    head: ReferenceHead,
    faces: Faces | None,
    truth: Faces,
) -> None:
    offset = 0  # the film's own, if the truth has sound
    for name, video, pictures, sound, store in (
        ("truth", truth, pair.truth, pair.true_sound, result.truth),
        ("pictures", faces, pair.pictures, pair.sound, result.figures),
    ):
        if sound is None or video is None:
            continue
        late = np.concatenate([np.zeros(round(SHIFTED * SAMPLE_RATE / FRAME_RATE), np.float32), sound])
        expression = video.front - head.neutral
        try:
            agreed, shifted = (own_sync(judges.encoders, expression, video.found, heard) for heard in (sound, late))
            if agreed is None or shifted is None:
                raise UserError("too short to be compared at every offset")
            offset = agreed.offset if name == "truth" else offset
            store |= {
                "sync": agreed.at(offset),
                "sync_error": agreed.error(offset),
                "sync_confidence": agreed.confidence,
                "sync_offset": float(agreed.offset),
                "sync_shifted": shifted.at(offset),
            }
            result.offsets[name] = _listed(agreed.curve)
        except UserError as error:
            result.notes.append(f"lips and sound of the {name}: {error}")
        if judges.syncnet is not None:
            score = syncnet_score(judges.syncnet, pictures, video.pixels, sound)
            if score is not None:
                store |= {"lse_c": score.lse_c, "lse_d": score.lse_d, "syncnet_offset": float(score.offset)}
                result.offsets[f"{name}, SyncNet"] = _listed(score.curve)


def _score_speeches(
    result: Evaluation, encoders: GeneralModels, head: ReferenceHead, speeches: Sequence[Speech]
) -> None:
    """Of all speeches as of one: their agreement where it is highest, for no truth tells an offset."""
    scores = []
    for speech in speeches:
        faces = head.faces(Sightings.of(track(speech.pictures, f"faces saying {speech.name}", transient=True)))
        score = None if faces is None else own_sync(encoders, faces.front - head.neutral, faces.found, speech.sound)
        if score is None:
            result.notes.append(f"{speech.name}: hardly any face, or too short to compare lips and sound: left out")
        else:
            scores.append(score)
    if scores:
        agreed = OwnSync.join(scores)
        result.figures |= {
            "speech_sync": agreed.at(agreed.offset),
            "speech_sync_error": agreed.error(agreed.offset),
            "speech_sync_offset": float(agreed.offset),
        }
        result.offsets["other speech"] = _listed(agreed.curve)


def _listed(values: Sequence[float] | np.ndarray) -> list[float]:
    return [round(float(value), 5) for value in values]
