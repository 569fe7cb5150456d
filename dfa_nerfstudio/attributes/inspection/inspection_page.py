"""`attributes.html`: what mouth, eyes and sound learnt, as a page that opens from disk."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.attributes.attribute_report import WINDOWS, measure
from dfa_nerfstudio.attributes.disentanglement_metrics import readings, swap_figures
from dfa_nerfstudio.attributes.inspection.clip_matching import heat_map
from dfa_nerfstudio.attributes.inspection.inspection_subject import Subject, open_others
from dfa_nerfstudio.attributes.inspection.offset_curves import (
    CHANCE,
    Agreement,
    agreements,
    frames_and_ms,
    offset_plot,
)
from dfa_nerfstudio.attributes.inspection.probe_curves import mouth_chart, scatter_plots
from dfa_nerfstudio.attributes.inspection.swapped_faces import swap_gallery
from dfa_nerfstudio.reporting.page_template import page_template

PAGE = "attributes.html"
"""In the dataset folder."""
MEANINGS = (
    ("landmark error", "mean distance of a decoded landmark from its true place; 100 is that of the outer eye corners"),
    ("moved by", "relative to what a true change moves: 0 is perfectly apart, 1 not at all"),
    ("mouth opening from f_m", "linear reading on composed faces: 1 is perfect"),
    ("eye opening from f_e", "linear reading on composed faces: 1 is perfect"),
    (", R2", "what the other one gives away, on composed faces: 0 or less is nothing"),
    ("sync", f"share of windows whose best offset is right to within a frame; chance is {CHANCE:.2f}"),
    ("correlation", "of the true opening with a linear reading of f_a that was fitted on training frames"),
)
"""What a figure whose name holds these words says; the first one counts."""


def inspect_attributes(folder: tyro.conf.Positional[Path], others: tyro.conf.Positional[list[Path]]) -> None:
    """Writes `attributes.html` into a dataset folder: what its attribute models make of frames that trained nothing.

    Swapped mouths and eyes (section 3.2), openings read from each embedding, agreement of sound and lips against
    their offset (section 3.3), and which clip's sound suits which clip's lips.

    Args:
        folder: a dataset folder on which dfa-attributes has run.
        others: dataset folders of other clips that these models are tried on too.

    Raises:
        UserError: if a folder or the models cannot be read.
    """
    subject = Subject.open(folder)
    recordings, skipped = open_others(subject.models, others)
    figures = _figures(subject)
    chart, correlation = mouth_chart(subject)
    found, clips = agreements(subject), heat_map(subject, recordings)
    parts: dict[str, Any] = {
        "name": folder.resolve().name,
        "subject": subject,
        "notes": [*_notes(subject), *skipped],
        "tiles": _tiles(subject, figures, found, correlation),
        "gallery": swap_gallery(subject, recordings),
        "scatter": scatter_plots(subject, figures),
        "offsets": offset_plot(found) if found else None,
        "agreements": [*found, *(Agreement.of_recording(subject.models, recording) for recording in recordings)],
        "windows": WINDOWS,
        "chance": CHANCE,
        "clips": clips,
        "alone": not recordings,
        "chart": chart,
        "correlation": correlation,
        "figures": [(name, _number(value), _meaning(name)) for name, value in figures.items()],
        "frames_and_ms": frames_and_ms,
        "number": _number,
    }
    with atomic_write(folder / PAGE) as partial:
        partial.write_text(page_template(Path(__file__).parent).render(parts), encoding="utf-8")
    Console().print(f"wrote {folder / PAGE}", highlight=False, soft_wrap=True)


def _figures(subject: Subject) -> dict[str, float]:
    """`measure` on the held-out part; where there is none, what can be said of training frames."""
    if subject.is_held_out:
        return measure(subject.models, subject.clip, subject.num_train)
    model, faces = subject.models.autoencoder, subject.landmarks[subject.rows(subject.training)]
    return swap_figures(model, faces) | readings(model, faces, faces)


def _notes(subject: Subject) -> list[str]:
    notes = []
    if not subject.is_held_out:
        notes.append(
            "No held-out part of two seconds: everything below is drawn from training frames, and says what was "
            "learnt by heart, not what holds for others"
        )
    if late := int(subject.models.offset):
        notes.append(
            f"The film's sound comes {10 * late:+d} ms late, which is taken back".replace("-", "\N{MINUS SIGN}")
        )
    return notes


def _tiles(
    subject: Subject, figures: dict[str, float], found: list[Agreement], correlation: float
) -> list[tuple[str, str, str]]:
    """The few figures that matter most: name, value, explanation."""
    moved = max(figures["eyes moved by mouth swap"], figures["mouth moved by eye swap"])
    tiles = [
        ("Looked at", f"{subject.seconds(subject.shown):.1f} s", "held out" if subject.is_held_out else "of training"),
        ("Landmark error", f"{figures['landmark error, %']:.2f} %", "of the eye distance"),
        ("Moved by a swap", f"{100 * moved:.1f} %", "of what a true change moves, the worse of both"),
    ]
    if found:
        one_second = found[0].shares[WINDOWS.index(1.0)]
        tiles.append(("In sync", "?" if math.isnan(one_second) else f"{100 * one_second:.0f} %", "of windows of 1 s"))
        tiles.append(("Best offset", frames_and_ms(found[0].best).split(" (")[0], "0 is in step"))
    tiles.append(("Lips from sound", _number(correlation, 2), "correlation of the opening"))
    return tiles


def _meaning(name: str) -> str:
    return next((meaning for words, meaning in MEANINGS if words in name), "")


def _number(value: float, decimals: int = 3) -> str:
    if math.isnan(value):
        return "too short to measure"
    return f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", "\N{MINUS SIGN}")
