"""`attributes.html`: what the attribute models learned of mouth, eyes and audio, as a self-contained page."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import tyro

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.attributes.attribute_report import SYNC_WINDOWS, held_out_metrics
from dfa_nerfstudio.attributes.disentanglement_metrics import probe_metrics, swap_metrics
from dfa_nerfstudio.attributes.inspection.clip_matching import heat_map
from dfa_nerfstudio.attributes.inspection.inspection_subject import InspectionSubject, open_reference_clips
from dfa_nerfstudio.attributes.inspection.probe_charts import mouth_chart, scatter_charts
from dfa_nerfstudio.attributes.inspection.recording_sync import (
    CHANCE,
    RecordingSync,
    format_offset,
    offset_chart,
    subject_sync,
)
from dfa_nerfstudio.attributes.inspection.swapped_faces import swap_gallery
from dfa_nerfstudio.reporting.console import make_console
from dfa_nerfstudio.reporting.page_template import page_template

PAGE = "attributes.html"
"""File in the dataset folder."""
DESCRIPTIONS = (
    ("landmark error", "mean distance of a decoded landmark from the true one; 100 is the outer eye corner distance"),
    ("moved by", "relative to the movement of a true change: 0 is perfect disentanglement, 1 is none"),
    ("mouth opening from f_m", "linear probe on composed faces: 1 is perfect"),
    ("eye opening from f_e", "linear probe on composed faces: 1 is perfect"),
    (", R2", "linear probe of the other embedding on composed faces: 0 or less is no leakage"),
    ("sync", f"share of windows whose best offset is correct to within a frame; chance is {CHANCE:.2f}"),
    ("correlation", "of the true opening with a linear probe of f_a that is fitted on training frames"),
)
"""Description of each metric whose name contains the words; the first match counts."""


def inspect_attributes(folder: tyro.conf.Positional[Path], reference_clips: tyro.conf.Positional[list[Path]]) -> None:
    """Writes `attributes.html` into a dataset folder: an inspection of its attribute models on held-out frames.

    Swapped mouths and eyes (section 3.2), openings predicted from each embedding, agreement of audio and lips over
    their offset (section 3.3), and the similarity of every clip's lips with every clip's audio.

    Args:
        folder: a dataset folder on which dfa-attributes has run.
        reference_clips: dataset folders of other clips, on which these models are tested too.

    Raises:
        UserError: if a folder or the models cannot be read.
    """
    subject = InspectionSubject.open(folder)
    recordings, notes = open_reference_clips(subject.models, reference_clips)
    metrics = _metrics(subject)
    chart, correlation = mouth_chart(subject)
    sync, clips = subject_sync(subject), heat_map(subject, recordings)
    parts: dict[str, Any] = {
        "name": folder.resolve().name,
        "subject": subject,
        "notes": [*_notes(subject), *notes],
        "tiles": _tiles(subject, metrics, sync, correlation),
        "gallery": swap_gallery(subject, recordings),
        "scatter_charts": scatter_charts(subject, metrics),
        "offset_chart": offset_chart(sync) if sync else None,
        "sync": [*sync, *(RecordingSync.from_recording(subject.models, recording) for recording in recordings)],
        "windows": SYNC_WINDOWS,
        "chance": CHANCE,
        "clips": clips,
        "has_reference_clips": bool(recordings),
        "mouth_chart": chart,
        "correlation": correlation,
        "metrics": [(name, _format(value), _description(name)) for name, value in metrics.items()],
        "format_offset": format_offset,
        "format_number": _format,
    }
    with atomic_write(folder / PAGE) as partial:
        partial.write_text(page_template(Path(__file__).parent).render(parts), encoding="utf-8")
    make_console().print(f"wrote {folder / PAGE}", soft_wrap=True)


def _metrics(subject: InspectionSubject) -> dict[str, float]:
    """`held_out_metrics`, or those that are defined on training frames if the held-out part is too short."""
    if subject.has_held_out:
        return held_out_metrics(subject.models, subject.clip, subject.num_train)
    model, faces = subject.models.autoencoder, subject.landmarks[subject.valid_indices(subject.training)]
    return swap_metrics(model, faces) | probe_metrics(model, faces, faces)


def _notes(subject: InspectionSubject) -> list[str]:
    notes = []
    if not subject.has_held_out:
        notes.append(
            "No held-out part of two seconds: everything below is computed on training frames and does not measure "
            "generalisation"
        )
    if offset := int(subject.models.offset):
        notes.append(
            f"The audio lags the video by {10 * offset:+d} ms, which is corrected".replace("-", "\N{MINUS SIGN}")
        )
    return notes


def _tiles(
    subject: InspectionSubject, metrics: dict[str, float], sync: list[RecordingSync], correlation: float
) -> list[tuple[str, str, str]]:
    """Name, value and explanation of the most important metrics."""
    moved = max(metrics["eyes moved by mouth swap"], metrics["mouth moved by eye swap"])
    part = "held out" if subject.has_held_out else "of training"
    tiles = [
        ("Inspected", f"{subject.seconds(subject.inspected):.1f} s", part),
        ("Landmark error", f"{metrics['landmark error, %']:.2f} %", "of the eye distance"),
        ("Moved by a swap", f"{100 * moved:.1f} %", "of a true change, the worse of both"),
    ]
    if sync:
        one_second = sync[0].shares[SYNC_WINDOWS.index(1.0)]
        tiles.append(("In sync", "?" if math.isnan(one_second) else f"{100 * one_second:.0f} %", "of windows of 1 s"))
        tiles.append(("Best offset", format_offset(sync[0].offset).split(" (")[0], "0 is in sync"))
    tiles.append(("Lips from audio", _format(correlation, 2), "correlation of the opening"))
    return tiles


def _description(name: str) -> str:
    return next((description for words, description in DESCRIPTIONS if words in name), "")


def _format(value: float, decimals: int = 3) -> str:
    if math.isnan(value):
        return "too short to measure"
    return f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", "\N{MINUS SIGN}")
