"""The paper's tables by `dfa-eval ablate`, and whether their order outlasts other speech and other seeds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.corpus import LEFT_OUT, MAIN, is_grid, link_clip
from benchmarks.record import Row, clip_path, header, timed, write_record
from dfa_nerfstudio.data.dataset_folder import TRACK
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.ablation.ablation_page import COLUMNS, row_folder
from dfa_nerfstudio.evaluation.ablation.variants import ADNERF, AS_IT_IS, METHOD
from dfa_nerfstudio.evaluation.evaluate import Evaluation
from dfa_nerfstudio.evaluation.report.evaluation_io import load

OWN_SEED = 42
"""nerfstudio's own, with which the whole table is trained."""
SPEECH = ("english_60s.flac", "english_jfk_11s.flac", "english_librispeech_9s.wav")
"""What the rows of the method say besides their film."""
TABLE_2 = (AS_IT_IS, ADNERF)
"""Rows that are trained with further seeds."""


@dataclass
class Ablation:
    """Trains everything for the same time; E_a goes on from other people's films, as the paper's does.

    Run again with the same --output it goes on: what is there is kept.
    """

    shared: Path = Path("../shared")
    """Where the clips lie in clips/, and speech in speech/."""
    data: Path | None = None
    """A dataset folder with its track, instead of one made from the clip."""
    others: Path | None = None
    """A folder of dataset folders of other people, instead of those made from the clips."""
    minutes: float = 3.0
    """Training time of each row."""
    seeds: tuple[int, ...] = (43, 44)
    """Further seeds of Table 2's rows."""
    output: Path = Path("outputs/bench")
    """Working folder; pictures of real people stay here and are never committed."""

    def run(self) -> None:
        """Measures everything."""
        head = header("cpu")
        others = self.others or self._others()
        data = self.data or self._data(others)
        out = self.output / f"ablations_{OWN_SEED}"
        going_on = out.exists()
        folders = sorted(path.parent for path in others.glob("*/transforms.json"))
        took = timed([*self._ablate(data, out, OWN_SEED), "--others", *folders])
        results = json.loads((out / "ablations.json").read_text())
        tables: dict[str, list[Row]] = {
            "the whole table": [{"row": name, **cells} for name, cells in results["rows"].items()],
            "models of motion, 2 s ahead": [{"row": name, **row} for name, row in results["motion"].items()],
            "whose motion it is": [{"films": 1 + len(folders), **results["latent"]}],
        }
        if not going_on:
            tables["time"] = [{"rows": len(results["rows"]) - 1 + len(results["motion"]), **took}]
        speech = ["--speech", *(self.shared / "speech" / name for name in SPEECH)]
        scored: dict[int, dict[str, Evaluation]] = {}
        for seed in (OWN_SEED, *self.seeds):
            place = self.output / f"ablations_{seed}"
            names = tuple(METHOD) if seed == OWN_SEED else TABLE_2
            timed([*self._ablate(data, place, seed), "--only", *names, *speech])
            scored[seed] = {name: load(place / row_folder(name)) for name in names}
        tables["Table 2, by seed"] = [
            {"row": name, "seed": seed, **_figures(row)} for seed, rows in scored.items() for name, row in rows.items()
        ]
        tables["Table 2, means over seeds"] = [
            _mean(name, [rows[name] for rows in scored.values()]) for name in TABLE_2
        ]
        truth = scored[OWN_SEED][AS_IT_IS].truth
        tables["the film itself"] = [{name: truth[name] for _, name in COLUMNS if name in truth}]
        write_record("ablation_cpu", head, tables)

    def _ablate(self, data: Path, place: Path, seed: int) -> list[str | Path | float]:
        return ["dfa-eval", "ablate", data, "--minutes", self.minutes, "--output", place, "--seed", seed]

    def _others(self) -> Path:
        """Dataset folders of everybody else but GRID, from which the judge of lips and sound has learnt; what is
        refused is left out."""
        films, data = self.output / "other_films", self.output / "others"
        for path in sorted((self.shared / "clips").rglob("*.mp4")):
            if path.parent.name not in LEFT_OUT and path.stem != MAIN and not is_grid(path):
                link_clip(path, films / path.name)
        try:
            timed(["dfa-process", films, "--output", data, "--size", 64, "--held-out", 0, "--jobs", 2])
        except UserError:
            if not any(data.glob("*/transforms.json")):
                raise
        return data

    def _data(self, others: Path) -> Path:
        """The dataset folder of the clip, its audio encoder gone on from everybody else's."""
        data, general = self.output / f"{MAIN}_ablation", self.output / "others.pt"
        if (data / TRACK).is_file():
            return data
        timed(["dfa-process", clip_path(self.shared, MAIN), "--output", data, "--size", 128])
        timed(["dfa-attributes", "pretrain", others, "--output", general])
        timed(["dfa-attributes", data, "--pretrained", general])
        return data


def _figures(row: Evaluation) -> Row:
    """The table's figures of one row, as numbers."""
    found = {f"{name}_{protocol}" if protocol else name: row.figure(protocol, name) for protocol, name in COLUMNS}
    return {title: value for title, value in found.items() if value is not None}


def _mean(name: str, rows: list[Evaluation]) -> Row:
    """Means over trainings of one row, and how far single trainings lie from them (standard deviation)."""
    each = [_figures(row) for row in rows]
    found: Row = {"row": name, "seeds": len(rows)}
    for title in each[0]:
        values = [row[title] for row in each if title in row]
        if len(values) < len(each):
            continue
        found[title] = float(np.mean(values))
        if len(values) > 1 and not title.endswith("_error"):
            found[f"{title}_sd"] = float(np.std(values, ddof=1))
    return found
