"""`dfa-eval mos`: mean opinion scores from the files that participants send back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from jaxtyping import Float
from rich.table import Table
from scipy.stats import t

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.study.build_study import QUESTIONS
from dfa_nerfstudio.reporting.console import make_console

CONFIDENCE = 0.95
"""Level of the confidence intervals."""


@dataclass
class MeanOpinionScore:
    """A mean opinion score with its confidence interval."""

    mean: float
    half_width: float
    """Half width of the confidence interval; NaN with one participant."""

    @classmethod
    def from_participants(cls, scores: Float[np.ndarray, " P"]) -> MeanOpinionScore:
        """Computes Student's t interval from each participant's mean score.

        The sample is participants and not ratings, because the ratings of one participant are correlated.

        Example:
            >>> MeanOpinionScore.from_participants(np.array([3.0, 4.0, 5.0]))
            MeanOpinionScore(mean=4.0, half_width=2.48)
        """
        if len(scores) < 2:
            return cls(float(scores.mean()) if len(scores) else float("nan"), float("nan"))
        half_width = t.ppf((1 + CONFIDENCE) / 2, len(scores) - 1) * scores.std(ddof=1) / np.sqrt(len(scores))
        return cls(round(float(scores.mean()), 2), round(float(half_width), 2))

    def as_json(self) -> dict[str, float | None]:
        """The values, with None for NaN."""
        return {"mean": self.mean, "half_width": None if np.isnan(self.half_width) else self.half_width}

    def __str__(self) -> str:
        interval = "" if np.isnan(self.half_width) else f" \N{PLUS-MINUS SIGN} {self.half_width:.2f}"
        return f"{self.mean:.2f}{interval}"


def mean_opinion_scores(
    key: tyro.conf.Positional[Path], scores: tyro.conf.Positional[list[Path]], output: Path | None = None
) -> None:
    """Computes mean opinion scores of a study, with 95 % confidence intervals over participants.

    Args:
        key: the study's `key.json`.
        scores: files that participants sent back, or folders of them.
        output: also writes the table to this .json.

    Raises:
        UserError: if a file does not belong to this study, or there are no scores.
    """
    study = _read(key, "videos")
    files = [file for path in scores for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
    if not files:
        raise UserError(f"{scores[0]}: holds no file of scores")
    participants = [_participant_scores(file, study) for file in dict.fromkeys(files)]
    methods = sorted({video["method"] for video in study["videos"].values()})

    def score(method: str, question: str) -> MeanOpinionScore:
        ratings = [participant[method, question] for participant in participants]
        return MeanOpinionScore.from_participants(np.array([np.mean(one) for one in ratings if one]))

    results = {method: {question: score(method, question) for question in study["questions"]} for method in methods}
    table = Table(title=f"{len(participants)} participants, mean opinion scores from 1 to 5, 95 % confidence")
    table.add_column("method")
    for question in study["questions"]:
        table.add_column(str(QUESTIONS.get(question, question)), justify="right")
    for method, row in results.items():
        table.add_row(method, *map(str, row.values()))
    console = make_console()
    console.print(table)
    if output:
        stored = {method: {name: one.as_json() for name, one in row.items()} for method, row in results.items()}
        with atomic_write(output) as partial:
            partial.write_text(json.dumps({"participants": len(participants), "mos": stored}, indent=1) + "\n")
        console.print(f"wrote {output}")


def _participant_scores(file: Path, study: dict[str, Any]) -> dict[tuple[str, str], list[int]]:
    """One participant's scores by method and question."""
    sent = _read(file, "scores")
    if sent.get("study") != study["study"]:
        raise UserError(f"{file}: scores of another study than this key's")
    found: dict[tuple[str, str], list[int]] = {
        (video["method"], question): [] for video in study["videos"].values() for question in study["questions"]
    }
    for video, answers in sent["scores"].items():
        for question, score in answers.items():
            if video not in study["videos"] or question not in study["questions"] or score not in (1, 2, 3, 4, 5):
                raise UserError(f"{file}: {video}, {question}: {score!r} is no score of this study")
            found[study["videos"][video]["method"], question].append(score)
    return found


def _read(path: Path, field: str) -> dict[str, Any]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        assert "study" in stored and field in stored
    except (OSError, ValueError, TypeError, AssertionError):
        raise UserError(f"{path}: not a file of a study; dfa-eval study writes key.json, its page the scores") from None
    return stored
