"""Measures the paper's tables with `dfa-eval ablate`, and tests their order with other speech and other seeds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.corpus import EXCLUDED_FOLDERS, MAIN_CLIP, is_grid, link_clip
from benchmarks.record import Row, clip_path, record_header, run_timed, write_record
from dfa_nerfstudio.data.dataset_folder import TRACK
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.ablation.ablation_page import COLUMNS, row_folder
from dfa_nerfstudio.evaluation.ablation.variants import ADNERF_CONDITIONING, CONDITIONING_VARIANTS, F_A, FULL_MODEL
from dfa_nerfstudio.evaluation.evaluate import Evaluation
from dfa_nerfstudio.evaluation.report.evaluation_io import load

DEFAULT_SEED = 42
"""nerfstudio's default seed, used for the whole table."""
SPEECH = ("english_60s.flac", "english_jfk_11s.flac", "english_librispeech_9s.wav")
"""Speech that drives the rows of the method in addition to their own clip."""
TABLE_2 = (FULL_MODEL, F_A, ADNERF_CONDITIONING)
"""Rows that are trained with further seeds."""


@dataclass
class AblationBenchmark:
    """Trains all rows for the same time, with E_a pretrained on other people's clips, as in the paper.

    A second run with the same --output continues: finished rows are kept.
    """

    shared: Path = Path("../shared")
    """Folder of the test material, with clips/ and speech/."""
    data: Path | None = None
    """A finished dataset folder with its track, used instead of the clip."""
    reference_clips: Path | None = None
    """Folder with finished dataset folders of other people, used instead of the clips."""
    minutes: float = 3.0
    """Training time of each row, in minutes."""
    only: tuple[str, ...] = ()
    """Rows of the whole table; all of them by default. Those of Table 2 are measured in any case."""
    seeds: tuple[int, ...] = (43, 44)
    """Further random seeds of Table 2's rows."""
    output: Path = Path("outputs/bench")
    """Working folder. Images of real people stay here and are never committed."""

    def run(self) -> None:
        """Measures everything and writes the record."""
        head = record_header("cpu")
        references = self.reference_clips or self._reference_clips()
        data = self.data or self._data(references)
        out = self.output / f"ablations_{DEFAULT_SEED}"
        resumed = out.exists()
        folders = sorted(path.parent for path in references.glob("*/transforms.json"))
        only = ["--only", *self.only] if self.only else []
        cost = run_timed([*self._ablate(data, out, DEFAULT_SEED), *only, "--reference-clips", *folders])
        results = json.loads((out / "ablations.json").read_text())
        tables: dict[str, list[Row]] = {
            "the whole table": [{"row": name, **cells} for name, cells in results["rows"].items()],
            "models of motion, 2 s ahead": [{"row": name, **row} for name, row in results["motion"].items()],
            "motion identity": [{"clips": 1 + len(folders), **results["latent"]}],
        }
        if not resumed:
            tables["time"] = [{"rows": len(results["rows"]) - 1 + len(results["motion"]), **cost}]
        speech = ["--speech", *(self.shared / "speech" / name for name in SPEECH)]
        scored: dict[int, dict[str, Evaluation]] = {}
        for seed in (DEFAULT_SEED, *self.seeds):
            folder = self.output / f"ablations_{seed}"
            names = tuple(CONDITIONING_VARIANTS) if seed == DEFAULT_SEED else TABLE_2
            run_timed([*self._ablate(data, folder, seed), "--only", *names, *speech])
            scored[seed] = {name: load(folder / row_folder(name)) for name in names}
        tables["Table 2, by seed"] = [
            {"row": name, "seed": seed, **_metrics(row)} for seed, rows in scored.items() for name, row in rows.items()
        ]
        tables["Table 2, means over seeds"] = [
            _mean(name, [rows[name] for rows in scored.values()]) for name in TABLE_2
        ]
        truth = scored[DEFAULT_SEED][FULL_MODEL].truth
        tables["source video"] = [{name: truth[name] for _, name in COLUMNS if name in truth}]
        write_record("ablation_cpu", head, tables)

    def _ablate(self, data: Path, folder: Path, seed: int) -> list[str | Path | float]:
        return ["dfa-eval", "ablate", data, "--minutes", self.minutes, "--output", folder, "--seed", seed]

    def _reference_clips(self) -> Path:
        """Makes dataset folders of all other people and returns their folder; rejected clips are skipped.

        GRID is excluded, because the encoders of the sync score were trained on it.
        """
        videos, data = self.output / "reference_videos", self.output / "reference_clips"
        for path in sorted((self.shared / "clips").rglob("*.mp4")):
            if path.parent.name not in EXCLUDED_FOLDERS and path.stem != MAIN_CLIP and not is_grid(path):
                link_clip(path, videos / path.name)
        try:
            run_timed(["dfa-process", videos, "--output", data, "--size", 64, "--held-out", 0, "--jobs", 2])
        except UserError:
            if not any(data.glob("*/transforms.json")):
                raise
        return data

    def _data(self, references: Path) -> Path:
        """Makes the dataset folder of the clip, with an audio encoder fine-tuned from everybody else's."""
        data, pretrained = self.output / f"{MAIN_CLIP}_ablation", self.output / "pretrained.pt"
        if (data / TRACK).is_file():
            return data
        run_timed(["dfa-process", clip_path(self.shared, MAIN_CLIP), "--output", data, "--size", 128])
        run_timed(["dfa-attributes", "pretrain", references, "--output", pretrained])
        run_timed(["dfa-attributes", data, "--pretrained", pretrained])
        return data


def _metrics(row: Evaluation) -> Row:
    """Returns the metrics of one row of the table."""
    found = {f"{name}_{protocol}" if protocol else name: row.metric(protocol, name) for protocol, name in COLUMNS}
    return {title: value for title, value in found.items() if value is not None}


def _mean(name: str, rows: list[Evaluation]) -> Row:
    """Means and standard deviations over the trainings of one row."""
    each = [_metrics(row) for row in rows]
    found: Row = {"row": name, "seeds": len(rows)}
    for title in each[0]:
        values = [row[title] for row in each if title in row]
        if len(values) < len(each):
            continue
        found[title] = float(np.mean(values))
        if len(values) > 1 and not title.endswith("_error"):
            found[f"{title}_sd"] = float(np.std(values, ddof=1))
    return found
