"""Tables over seeds, stored rows, and the tables of the paper."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path

import pytest
from rich.console import Console

from dfa_nerfstudio.evaluation.ablation.result_table import MINUTES, Column, ResultTable
from dfa_nerfstudio.evaluation.ablation.rows import GROUPS, IMAGE_ROWS
from dfa_nerfstudio.evaluation.ablation.stored_row import StoredRow, file_digest
from dfa_nerfstudio.evaluation.ablation.system_rows import SYSTEMS
from dfa_nerfstudio.evaluation.metric_registry import MetricInfo
from dfa_nerfstudio.evaluation.systems.motion_rows import MOTION_ROWS

NAN = float("nan")


@pytest.fixture
def table() -> ResultTable:
    columns = (
        Column(MetricInfo("psnr", "PSNR", "dB", "higher", ""), "full"),
        Column(MetricInfo("blinks", "Blinks", "1/s", "as the truth", "")),
        Column(MetricInfo("sync", "Sync", "", "higher", "")),
        Column(MINUTES),
    )
    rows = {
        "a_b": {
            0: {"full/psnr": 30.0, "blinks": 0.2, "sync": NAN, "minutes": 1.0},
            1: {"full/psnr": 32.0, "blinks": 0.4},
        },
        "c": {0: {"full/psnr": 30.5, "blinks": 0.9, "sync": NAN, "minutes": 0.1}},
    }
    return ResultTable("Table", "Held out.", columns, rows, {"source video": {"blinks": 0.7}}, {"blinks": 0.7})


def test_means_deviations_and_best_values(table: ResultTable):
    assert [column.key for column in table.used_columns] == ["full/psnr", "blinks", "minutes"]
    assert table.cells()["a_b"] == ["31.00 ± 1.41", "0.30 ± 0.14", "1.0"]
    assert table.cells()["source video"] == ["", "0.70", ""]
    # 0.9 is nearer to the source video's 0.7 than 0.3; a short training is no merit
    assert table.bold() == {("a_b", "full/psnr"), ("c", "blinks")}


def test_a_narrow_terminal_shows_all_rows_below_each_other(table: ResultTable):
    output = io.StringIO()
    tables = list(table.console_tables(66))
    Console(width=66, file=output).print(*tables, sep="\n")
    text = output.getvalue()
    assert len(tables) == 2 and len(list(table.console_tables(80))) == 1
    assert all(text.count(word) == 1 for word in ("a_b", " c ", "source video", "31.00", "30.50", "0.90", "0.70"))
    assert max(map(len, text.splitlines())) <= 66


def test_latex_and_json(table: ResultTable):
    latex = table.latex()
    assert r"a\_b & \textbf{31.00 $\pm$ 1.41} & 0.30 $\pm$ 0.14 & 1.0 \\" in latex and r"\toprule" in latex
    stored = json.loads(json.dumps(table.to_json(), allow_nan=False))
    assert stored["rows"]["a_b"]["mean"]["full/psnr"] == 31 and stored["rows"]["c"]["values"]["0"]["sync"] is None
    assert stored["rows"]["a_b"]["seeds"] == [0, 1]


def test_stored_values_depend_on_their_settings(tmp_path: Path):
    calls = []

    def compute() -> dict[str, float]:
        calls.append(1)
        return {"value": float(len(calls)), "missing": NAN}

    row = StoredRow(tmp_path, {"minutes": 3.0, "files": ("a",)}, compute)
    first, again = row.values(), row.values()
    assert first["value"] == again["value"] == 1 and again["missing"] != again["missing"] and len(calls) == 1
    other = StoredRow(tmp_path, {"minutes": 4.0, "files": ("a",)}, compute)
    assert other.read() is None and other.values()["value"] == 2
    (tmp_path / "values.json").write_text("{")
    assert other.values()["value"] == 3


def test_a_copied_file_is_the_same_and_a_changed_one_is_another(tmp_path: Path):
    file, copy = tmp_path / "speech.wav", tmp_path / "copy" / "speech.wav"
    copy.parent.mkdir()
    file.write_bytes(b"abc")
    copy.write_bytes(b"abc")
    os.utime(copy, ns=(0, 0))
    before = file_digest(file)
    assert file_digest(copy) == before == ["speech.wav", hashlib.sha256(b"abc").hexdigest()]
    file.write_bytes(b"abd")
    assert file_digest(file) != before


def test_every_system_consists_of_rows_that_exist():
    for name, system in SYSTEMS.items():
        assert system.image_row in IMAGE_ROWS and system.motion_row in MOTION_ROWS, name
    assert set(GROUPS["table5"]) <= set(IMAGE_ROWS) and set(GROUPS["motion"]) <= set(MOTION_ROWS)
