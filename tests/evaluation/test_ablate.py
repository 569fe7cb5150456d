"""Ablations through the command: rows that are kept, tables, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

from dfa_nerfstudio.evaluation.ablation.variants import FIELD, METHOD, USUAL
from tests.pipeline_fixture import Walked, run


def test_rows_are_trained_scored_and_kept(demo: Walked, tmp_path: Path):
    out = tmp_path / "ablations"
    command = ("dfa-eval", "ablate", demo.data, "--output", out, "--minutes", "0.05", "--protocols", "full")
    rows = ("as it is", "MFCC instead of f_a")
    done = run(*command, "--only", *rows)
    assert done.returncode == 0, done.stderr[-3000:]
    table = json.loads((out / "ablations.json").read_text())["rows"]
    assert list(table) == [*rows, "ground truth"]
    assert table["as it is"]["PSNR (full), dB"] != table["MFCC instead of f_a"]["PSNR (full), dB"]
    page = (out / "ablations.html").read_text()
    assert "as it is" in page and r"\toprule" in (out / "ablations.tex").read_text()
    assert page.count('<figure class="strip">') == 1 + len(rows)
    truths = [(out / name / "truth.png").read_bytes() for name in ("as_it_is", "MFCC_instead_of_f_a")]
    assert truths[0] == truths[1], "rows are compared at other moments"
    reports = {path: path.stat().st_mtime_ns for path in out.glob("*/report.json")}
    assert len(reports) == 2
    again = run(*command, "--only", *rows)
    assert again.returncode == 0
    assert reports == {path: path.stat().st_mtime_ns for path in out.glob("*/report.json")}, "scored anew"
    trained = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/*/run/nerfstudio_models/*.ckpt")}
    other = run(*command[:-1], "face", "--only", *rows)
    assert other.returncode == 0 and "PSNR (face)" in (out / "ablations.tex").read_text()
    checkpoints = out.glob("runs/*/*/run/nerfstudio_models/*.ckpt")
    assert trained == {path: path.stat().st_mtime_ns for path in checkpoints} and len(trained) == 2, "trained anew"
    seeded = run(*command, "--only", rows[0], "--seed", "7")
    assert seeded.returncode == 0 and "seed: 7" in next(out.glob("runs/as_it_is/*/run/config.yml")).read_text()


def test_what_is_refused(demo: Walked, tmp_path: Path):
    for arguments, message in (
        ((demo.data, "--only", "nothing"), "--only 'nothing': no such row; there are as it is"),
        ((demo.data, "--minutes", "0"), "--minutes 0: must be more than 0"),
        ((tmp_path,), "transforms.json"),
        ((demo.data, "--speech", tmp_path / "none.wav"), "none.wav: no such file"),
        ((demo.data, "--only", "MLP VAE"), "18 frames are held out; 67 are needed"),
    ):
        refused = run("dfa-eval", "ablate", *arguments)
        assert refused.returncode == 2 and message in refused.stderr and "Traceback" not in refused.stderr


def test_the_usual_rows_are_rows():
    assert set(USUAL) <= set(FIELD) and not set(METHOD) & set(FIELD)
