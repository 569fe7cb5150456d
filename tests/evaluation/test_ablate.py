"""`dfa-eval ablate`: finished rows are kept, tables are written, and bad input is refused."""

from __future__ import annotations

import copy
import functools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from dfa_nerfstudio.evaluation.ablation.variants import DEFAULT_FIELD_VARIANTS, FIELD_CONDITIONS, FIELD_VARIANTS
from dfa_nerfstudio.media.images import read_image
from dfa_nerfstudio.method_configs import dfa_nerf_lite
from tests.pipeline_fixture import PipelineRun, run, succeed


def mean_image_psnr(data: Path) -> float:
    meta = json.loads((data / "transforms.json").read_text())
    frames = [read_image(data / frame["file_path"]) / 255 for frame in meta["frames"]]
    mean = np.mean(frames[: meta["num_train"]], axis=0)
    return float(np.mean([-10 * np.log10(np.square(frame - mean).mean()) for frame in frames[meta["num_train"] :]]))


@pytest.mark.slow
def test_rows_are_trained_and_evaluated_once(demo: PipelineRun, tmp_path: Path):
    out = tmp_path / "ablations"
    command = ("dfa-eval", "ablate", demo.data, "--output", out, "--minutes", "0.05", "--protocols", "full")
    rows = ("full model", "mean lips")
    first = run(*command, "--only", *rows, "--latex")
    assert first.returncode == 0, first.stderr[-3000:]
    stored = (out / "ablations.json").read_text()
    table = json.loads(stored)["tables"]["table5"]
    assert list(table["rows"]) == list(rows) and "source video" in table["baselines"]
    assert table["baselines"]["mean training image"]["full/psnr"] == pytest.approx(mean_image_psnr(demo.data), abs=0.05)
    values = [table["rows"][name]["mean"] for name in rows]
    assert values[0]["full/psnr"] != values[1]["full/psnr"] and values[0]["minutes"] == pytest.approx(0.05, abs=0.01)
    page = (out / "ablations.html").read_text()
    assert "full model" in page and r"\toprule" in (out / "ablations.tex").read_text()
    assert page.count('<figure class="strip">') == 1 + len(rows)
    folders = [out / "rows" / name / "seed_42" for name in ("full_model", "mean_lips")]
    truths = [(folder / "truth.png").read_bytes() for folder in folders]
    assert truths[0] == truths[1], "the strips of two rows show different frames"
    reports = {path: path.stat().st_mtime_ns for path in out.glob("rows/*/*/report.json")}
    assert len(reports) == 2
    again = run(*command, "--only", *rows)
    assert again.returncode == 0 and (out / "ablations.json").read_text() == stored
    assert reports == {path: path.stat().st_mtime_ns for path in reports}, "evaluated again"
    trained = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/*/*/nerfstudio_models/*.ckpt")}
    assert len(trained) == 1, "lip models share the full model's field"
    other = run(*command[:-1], "face", "--only", *rows)
    assert other.returncode == 0 and "face/psnr" in (out / "ablations.json").read_text()
    assert trained == {path: path.stat().st_mtime_ns for path in trained}, "trained again"
    seeded = run(*command, "--only", rows[0], "--seeds", "42", "7")
    assert seeded.returncode == 0 and "seed: 7" in next(out.glob("runs/full_model/*/seed_7/config.yml")).read_text()
    row = json.loads((out / "ablations.json").read_text())["tables"]["table5"]["rows"]["full model"]
    assert row["seeds"] == [42, 7] and row["standard_deviation"]["full/psnr"] > 0
    lips = run(*command, "--rows", "lips", "--only", "lips f_m (ours)", "mean lips")
    assert lips.returncode == 0, lips.stderr[-3000:]
    table = json.loads((out / "ablations.json").read_text())["tables"]["lips"]["rows"]
    assert table["lips f_m (ours)"]["mean"]["lmd"] < table["mean lips"]["mean"]["lmd"]


def test_motion_rows_need_no_renderer(demo: PipelineRun, tmp_path: Path):
    data, out = tmp_path / "data", tmp_path / "ablations"
    shutil.copytree(demo.data, data)
    meta = json.loads((data / "transforms.json").read_text())
    meta["num_train"] -= 50  # a held-out end that is long enough for a prediction
    (data / "transforms.json").write_text(json.dumps(meta))
    rows = ("source video's motion (Wav2Lip)", "still head (ATVG)")
    options = ("--rows", "motion", "--only", *rows, "--speech", demo.clip, "--seeds", "1")
    succeed("dfa-eval", "ablate", data, "--output", out, *options)
    assert not (out / "runs").exists()
    table = json.loads((out / "ablations.json").read_text())["tables"]["motion"]
    source, still = (table["rows"][name]["mean"] for name in rows)
    assert still["energy"] == still["blink_rate"] == still["diversity"] == 0 and still["frozen"] == 1
    assert still["d_rot"] == table["baselines"]["last pose held"]["d_rot"]
    assert source["energy"] == pytest.approx(1, abs=0.3)
    assert source["frozen"] == pytest.approx(table["truth"]["frozen"], abs=0.1)
    assert source["spectrum"] < 3 < still["spectrum"]
    short = run("dfa-eval", "ablate", demo.data, "--output", tmp_path / "short", "--rows", "motion", "--only", rows[1])
    assert short.returncode == 0 and "the held-out end has no 66 valid frames in one shot" in short.stdout
    assert "d_rot" not in json.loads((tmp_path / "short" / "ablations.json").read_text())["tables"]["motion"]["columns"]


def test_bad_input_is_refused_in_one_line(demo: PipelineRun, tmp_path: Path):
    other_video = shutil.copy(demo.clip, tmp_path / "other.mp4")
    for arguments, message in (
        ((demo.data, "--only", "nothing"), "--only nothing: no such row; there are ATVG"),
        ((demo.data, "--minutes", "0"), "--minutes 0: must be more than 0"),
        ((tmp_path,), "transforms.json"),
        ((demo.data, "--speech", tmp_path / "none.wav"), "none.wav: no such file"),
        ((demo.data, "--rows", "dubbing"), "--rows dubbing: needs --video"),
        (
            (demo.data, "--rows", "dubbing", "--video", other_video, "--speech", demo.speech),
            "other.mp4: the portrait was cropped from",
        ),
        ((demo.data, "--seeds"), "--seeds: give at least one"),
        ((demo.data, "--seeds", "1", "1"), "none may occur twice"),
        ((demo.data, "--audio-features", tmp_path / "none.npy"), "none.npy: no such file"),
        ((demo.data, "--rows", "motion", "--reference-clips", demo.data), "none of them shows another person"),
    ):
        refused = run("dfa-eval", "ablate", *arguments)
        assert refused.returncode == 2 and message in refused.stderr and "Traceback" not in refused.stderr


def test_default_rows_exist_and_names_are_unique():
    assert set(DEFAULT_FIELD_VARIANTS) <= set(FIELD_VARIANTS) and not set(FIELD_CONDITIONS) & set(FIELD_VARIANTS)


def test_options_of_all_variants_exist():
    """ns-train would refuse others, minutes into an ablation."""
    config = copy.deepcopy(dfa_nerf_lite.config)
    for name, words in (FIELD_CONDITIONS | FIELD_VARIANTS).items():
        for word in words:
            path = word.removeprefix("--").replace("-", "_").split(".")
            if word.startswith("--pipeline."):
                assert hasattr(functools.reduce(getattr, path[:-1], config), path[-1]), f"{name}: {word}"
