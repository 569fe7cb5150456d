"""`dfa-eval opinions`: mean opinion scores from the files that participants sent back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from jaxtyping import Float
from rich.console import Console
from rich.table import Table
from scipy.stats import t

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.study.build_study import QUESTIONS

CONFIDENCE = 0.95


@dataclass
class Opinion:
    """A mean opinion score with its confidence interval."""

    mean: float
    reach: float
    """Half width of the interval; NaN with one participant."""

    @classmethod
    def of(cls, scores: Float[np.ndarray, " P"]) -> Opinion:
        """From each participant's mean: people, not ratings, are the sample, for one person's ratings go together.
        Student's t.

        Example:
            >>> Opinion.of(np.array([3.0, 4.0, 5.0]))
            Opinion(mean=4.0, reach=2.48)
        """
        if len(scores) < 2:
            return cls(float(scores.mean()) if len(scores) else float("nan"), float("nan"))
        reach = t.ppf((1 + CONFIDENCE) / 2, len(scores) - 1) * scores.std(ddof=1) / np.sqrt(len(scores))
        return cls(round(float(scores.mean()), 2), round(float(reach), 2))

    def as_json(self) -> dict[str, float | None]:
        return {"mean": self.mean, "reach": None if np.isnan(self.reach) else self.reach}

    def __str__(self) -> str:
        return f"{self.mean:.2f}" if np.isnan(self.reach) else f"{self.mean:.2f} \N{PLUS-MINUS SIGN} {self.reach:.2f}"


def opinions(
    key: tyro.conf.Positional[Path], scores: tyro.conf.Positional[list[Path]], output: Path | None = None
) -> None:
    """Turns the files of scores of a study into mean opinion scores with 95 % confidence intervals, over participants.

    Args:
        key: the study's `key.json`.
        scores: the files that participants sent back, or folders of them.
        output: writes the table to this .json too.

    Raises:
        UserError: if a file is not of this study, or no scores are there.
    """
    known = _read(key, "videos")
    files = [file for path in scores for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
    if not files:
        raise UserError(f"{scores[0]}: holds no file of scores")
    people = {file: _scores(file, known) for file in files}
    methods = sorted({video["method"] for video in known["videos"].values()})

    def opinion(method: str, question: str) -> Opinion:
        given = [scores[method, question] for scores in people.values()]
        return Opinion.of(np.array([np.mean(one) for one in given if one]))

    table = {method: {question: opinion(method, question) for question in known["questions"]} for method in methods}
    shown = Table(title=f"{len(people)} participants, mean opinion scores from 1 to 5, 95 % confidence")
    shown.add_column("method")
    for question in known["questions"]:
        shown.add_column(str(QUESTIONS.get(question, question)), justify="right")
    for method, row in table.items():
        shown.add_row(method, *(str(opinion) for opinion in row.values()))
    console = Console()
    console.print(shown)
    if output:
        stored = {method: {name: opinion.as_json() for name, opinion in row.items()} for method, row in table.items()}
        with atomic_write(output) as partial:
            partial.write_text(json.dumps({"participants": len(people), "opinions": stored}, indent=1) + "\n")
        console.print(f"wrote {output}", highlight=False)


def _scores(file: Path, known: dict[str, Any]) -> dict[tuple[str, str], list[int]]:
    """One participant's scores by method and question."""
    given = _read(file, "scores")
    if given.get("study") != known["study"]:
        raise UserError(f"{file}: scores of another study than this key's")
    found: dict[tuple[str, str], list[int]] = {
        (video["method"], question): [] for video in known["videos"].values() for question in known["questions"]
    }
    for video, answers in given["scores"].items():
        for question, score in answers.items():
            if video not in known["videos"] or question not in known["questions"] or score not in (1, 2, 3, 4, 5):
                raise UserError(f"{file}: {video}, {question}: {score!r} is no score of this study")
            found[known["videos"][video]["method"], question].append(score)
    return found


def _read(path: Path, field: str) -> dict[str, Any]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        assert "study" in stored and field in stored
    except (OSError, ValueError, TypeError, AssertionError):
        raise UserError(f"{path}: not a file of a study; dfa-eval study writes key.json, its page the scores") from None
    return stored
