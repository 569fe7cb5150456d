"""`dfa-eval ablate`: finished rows are kept, tables are written, and bad input is refused."""

from __future__ import annotations

import copy
import functools
import json
from pathlib import Path

import pytest

from dfa_nerfstudio.evaluation.ablation.variants import CONDITIONING_VARIANTS, DEFAULT_FIELD_VARIANTS, FIELD_VARIANTS
from dfa_nerfstudio.method_configs import dfa_nerf_lite
from tests.pipeline_fixture import PipelineRun, run


@pytest.mark.slow
def test_rows_are_trained_and_evaluated_once(demo: PipelineRun, tmp_path: Path):
    out = tmp_path / "ablations"
    command = ("dfa-eval", "ablate", demo.data, "--output", out, "--minutes", "0.05", "--protocols", "full")
    rows = ("full model", "MFCC instead of lips f_m")
    first = run(*command, "--only", *rows)
    assert first.returncode == 0, first.stderr[-3000:]
    table = json.loads((out / "ablations.json").read_text())["rows"]
    assert list(table) == [*rows, "ground truth"]
    assert table["full model"]["PSNR (full), dB"] != table["MFCC instead of lips f_m"]["PSNR (full), dB"]
    page = (out / "ablations.html").read_text()
    assert "full model" in page and r"\toprule" in (out / "ablations.tex").read_text()
    assert page.count('<figure class="strip">') == 1 + len(rows)
    truths = [(out / name / "truth.png").read_bytes() for name in ("full_model", "MFCC_instead_of_lips_f_m")]
    assert truths[0] == truths[1], "the strips of two rows show different frames"
    reports = {path: path.stat().st_mtime_ns for path in out.glob("*/report.json")}
    assert len(reports) == 2
    tables = (out / "ablations.json").read_text()
    again = run(*command, "--only", *rows)
    assert again.returncode == 0 and (out / "ablations.json").read_text() == tables
    assert reports == {path: path.stat().st_mtime_ns for path in out.glob("*/report.json")}, "evaluated again"
    trained = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/*/run/nerfstudio_models/*.ckpt")}
    other = run(*command[:-1], "face", "--only", *rows)
    assert other.returncode == 0 and "PSNR (face)" in (out / "ablations.tex").read_text()
    checkpoints = out.glob("runs/*/*/run/nerfstudio_models/*.ckpt")
    assert trained == {path: path.stat().st_mtime_ns for path in checkpoints} and len(trained) == 2, "trained again"
    seeded = run(*command, "--only", rows[0], "--seed", "7")
    assert seeded.returncode == 0 and "seed: 7" in next(out.glob("runs/full_model/*/run/config.yml")).read_text()


def test_bad_input_is_refused_in_one_line(demo: PipelineRun, tmp_path: Path):
    for arguments, message in (
        ((demo.data, "--only", "nothing"), "--only nothing: no such row; there are full model"),
        ((demo.data, "--minutes", "0"), "--minutes 0: must be more than 0"),
        ((tmp_path,), "transforms.json"),
        ((demo.data, "--speech", tmp_path / "none.wav"), "none.wav: no such file"),
        ((demo.data, "--only", "MLP VAE"), "18 frames are held out; 67 are needed"),
    ):
        refused = run("dfa-eval", "ablate", *arguments)
        assert refused.returncode == 2 and message in refused.stderr and "Traceback" not in refused.stderr


def test_default_rows_exist_and_names_are_unique():
    assert set(DEFAULT_FIELD_VARIANTS) <= set(FIELD_VARIANTS) and not set(CONDITIONING_VARIANTS) & set(FIELD_VARIANTS)


def test_options_of_all_variants_exist():
    """ns-train would refuse others, minutes into an ablation."""
    config = copy.deepcopy(dfa_nerf_lite.config)
    for name, words in (CONDITIONING_VARIANTS | FIELD_VARIANTS).items():
        for word in words:
            path = word.removeprefix("--").replace("-", "_").split(".")
            if word.startswith("--pipeline."):
                assert hasattr(functools.reduce(getattr, path[:-1], config), path[-1]), f"{name}: {word}"
