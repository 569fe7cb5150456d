"""Measures the paper's tables with `dfa-eval ablate`: every system as a row, on several people, with several seeds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.corpus import EXCLUDED_FOLDERS, MAIN_CLIP, is_grid, link_clip
from benchmarks.record import Row, clip_path, record_header, run_timed, write_record
from dfa_nerfstudio.data.dataset_folder import TRACK
from dfa_nerfstudio.errors import UserError

CLIPS = (MAIN_CLIP, "interview_6min_24fps")
"""Clips of the people whose tables are made; neither is a reference clip."""
TABLES = ("table2", "table4", "table5", "motion", "lips", "dubbing")
SPEECH = ("english_jfk_11s.flac", "english_librispeech_9s.wav", "english_lsp_00083_11s_float32.wav")
"""Speech that drives the rows in addition to their own clip."""


@dataclass
class AblationBenchmark:
    """Makes all tables. A second run with the same output folder continues: finished rows are kept."""

    shared: Path = Path("../shared")
    """Folder of the test material, with clips/ and speech/."""
    processed: Path | None = None
    """Folder of finished dataset folders of `clips` with their tracks; without it they are made."""
    reference_clips: Path | None = None
    """Folder of finished dataset folders of other people; without it they are made."""
    clips: tuple[str, ...] = CLIPS
    """Clips to measure."""
    tables: tuple[str, ...] = TABLES
    """Tables to make."""
    minutes: float = 3.0
    """Training time of each field in minutes."""
    seeds: tuple[int, ...] = (42, 43, 44)
    """Random seeds of the trainings."""
    output: Path = Path("outputs/bench")
    """Working folder. Images of real people stay here and are never committed."""

    def run(self) -> None:
        """Makes the tables of each clip and writes a record for each."""
        references = self.reference_clips or self._reference_clips()
        for clip in self.clips:
            head, out = record_header("cpu"), self.output / f"ablations_{clip}"
            resumed = out.exists()
            speech = [self.shared / "speech" / name for name in SPEECH]
            words = ["dfa-eval", "ablate", self._data(clip), "--output", out, "--minutes", self.minutes]
            words += ["--rows", *self.tables, "--seeds", *self.seeds, "--reference-clips", references]
            words += ["--speech", *speech, "--video", clip_path(self.shared, clip), "--protocols", "full", "face"]
            cost = run_timed(words)
            results = json.loads((out / "ablations.json").read_text())
            tables: dict[str, list[Row]] = {}
            for table in results["tables"].values():
                tables[f"{table['title']}. {table['protocol']}"] = _rows(table)
                tables[f"{table['title']}, by seed"] = [
                    {"row": name, "seed": seed, **values}
                    for name, row in table["rows"].items()
                    for seed, values in row["values"].items()
                ]
            if results["latent"]:
                tables["motion identity"] = [results["latent"]]
            if not resumed:
                tables["time"] = [cost]
            write_record(f"ablation_{clip}_cpu", head, tables)

    def _reference_clips(self) -> Path:
        """Makes dataset folders of all other people and returns their folder; rejected clips are skipped.

        GRID is excluded, because the encoders of the sync score were trained on it.
        """
        videos, data = self.output / "reference_videos", self.output / "reference_clips"
        scored = {*CLIPS, *self.clips}
        for path in sorted((self.shared / "clips").rglob("*.mp4")):
            if path.parent.name not in EXCLUDED_FOLDERS and path.stem not in scored and not is_grid(path):
                link_clip(path, videos / path.name)
        try:
            run_timed(["dfa-process", videos, "--output", data, "--size", 64, "--held-out", 0, "--jobs", 2])
        except UserError:
            if not any(data.glob("*/transforms.json")):
                raise
        return data

    def _data(self, clip: str) -> Path:
        """The dataset folder of a clip, with its attribute models."""
        if self.processed is not None:
            return self.processed / clip
        data = self.output / f"{clip}_128"
        if not (data / TRACK).is_file():
            run_timed(["dfa-process", clip_path(self.shared, clip), "--output", data, "--size", 128])
            run_timed(["dfa-attributes", data])
        return data


def _rows(table: dict) -> list[Row]:
    """Means over seeds, each with its standard deviation, and the baselines."""
    rows: list[Row] = []
    for name, row in table["rows"].items():
        found: Row = {"row": name, "seeds": len(row["seeds"])}
        for key, title in table["columns"].items():
            mean, deviation = row["mean"][key], row["standard_deviation"][key]
            if mean is not None:
                found[title] = f"{mean:.4g}" + ("" if deviation is None else f" \N{PLUS-MINUS SIGN} {deviation:.2g}")
        rows.append(found)
    for name, values in table["baselines"].items():
        known = {title: values[key] for key, title in table["columns"].items() if values.get(key) is not None}
        rows.append({"row": name, **known})
    return rows
