"""A new metric is one file: `evaluate`, the report and the tables include it without further changes."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dfa_nerfstudio.demo.make_clip import ClipConfig, make_clip
from dfa_nerfstudio.evaluation import metric_registry, video_metrics
from dfa_nerfstudio.evaluation.evaluate import EvaluationConfig, evaluate
from dfa_nerfstudio.evaluation.metric_registry import MetricInfo, Scores, video_metric
from dfa_nerfstudio.evaluation.report.comparison_table import latex_table, table_rows
from dfa_nerfstudio.evaluation.report.evaluation_io import load, save
from dfa_nerfstudio.evaluation.report.evaluation_page import write_page
from dfa_nerfstudio.evaluation.video_pairs import VideoPair
from dfa_nerfstudio.media.video_reader import Video, to_rgb

UNDECLARED = """
from dfa_nerfstudio.evaluation.metric_registry import MetricInfo, Scores, video_metric

@video_metric(MetricInfo("declared", "Declared", "", "lower", ""))
def broken(context):
    return Scores({"undeclared": 1.0})
"""


@pytest.fixture
def metric_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules are found as if they lay in `video_metrics`."""
    folder = tmp_path / "new_metrics"
    folder.mkdir()
    metric_registry.metric_infos()  # registers the package's own
    monkeypatch.setattr(video_metrics, "__path__", [*video_metrics.__path__, str(folder)])
    for name in ("_image_metrics", "_video_metrics"):
        monkeypatch.setattr(metric_registry, name, list(getattr(metric_registry, name)))
    yield folder
    for path in folder.glob("*.py"):
        sys.modules.pop(f"{video_metrics.__name__}.{path.stem}", None)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> VideoPair:
    """A clip of two seconds against itself with a constant error of 10 grey levels."""
    path = tmp_path_factory.mktemp("clip") / "demo.mp4"
    make_clip(path, ClipConfig(seconds=2, seed=5, size=96))
    truth = np.clip(np.stack([to_rgb(frame) for frame in Video(path).frames()]), 0, 245)
    return VideoPair("demo", truth + np.uint8(10), truth, np.ones(len(truth), bool), None, None)


def _documented_examples() -> list[str]:
    """The indented code blocks of the package docstring."""
    assert video_metrics.__doc__ is not None
    blocks = re.findall(r"(?:^ {4}.*\n|^\n)+", video_metrics.__doc__, re.M)
    return [textwrap.dedent(block).strip() + "\n" for block in blocks if block.strip()]


def test_the_documented_metrics_appear_in_report_page_and_table(metric_folder: Path, pair: VideoPair, tmp_path: Path):
    examples = _documented_examples()
    assert len(examples) == 2 and all(len(example.splitlines()) < 30 for example in examples)
    for name, example in zip(("mae", "nod_range"), examples, strict=True):
        (metric_folder / f"{name}.py").write_text(example)
    evaluation = evaluate(pair, EvaluationConfig(protocols=("full",)))
    save(evaluation, tmp_path / "report.json")
    stored = load(tmp_path)
    assert stored.image_metrics["full"]["mae"] == pytest.approx(10 / 255)
    assert 0 < stored.metrics["nod_range"] == pytest.approx(stored.truth["nod_range"], rel=0.2)
    assert [row.label for row in table_rows([stored])][-1] == "Nod range, degrees"
    assert r"MAE (full) $\downarrow$ & 0.0392 & --" in latex_table([stored], ["a"])
    write_page(tmp_path / "report.html", stored, pair)
    page = (tmp_path / "report.html").read_text()
    assert "<b>MAE</b>" in page and "largest minus smallest pitch" in page


def test_undeclared_values_are_a_programming_error(metric_folder: Path, pair: VideoPair):
    (metric_folder / "undeclared.py").write_text(UNDECLARED)
    with pytest.raises(ValueError, match="returns 'undeclared', which its decorator does not name"):
        evaluate(pair, EvaluationConfig(protocols=()))


def test_names_are_unique(metric_folder: Path):
    with pytest.raises(ValueError, match="another metric has the same name"):
        video_metric(MetricInfo("psnr", "PSNR", "dB", "higher", ""))(lambda context: Scores({}))


def test_reports_list_metrics_in_a_fixed_order():
    assert list(metric_registry.metric_infos()) == [
        *("psnr", "ssim", "ms_ssim", "lpips", "sharpness"),
        *("lmd", "lmd_normalized", "face_lmd", "face_lmd_normalized", "upper_face", "lower_face"),
        *("mouth_amplitude_ratio", "mouth_correlation", "mouth_closed_recall", "mouth_open_recall"),
        *("eyes_amplitude_ratio", "eyes_correlation"),
        *("blink_rate", "blink_duration", "d_rot", "d_pos", "jitter_rotation", "jitter_position"),
        *("sync", "sync_error", "sync_confidence", "sync_offset", "sync_shifted"),
        *("cross_driven_sync", "cross_driven_sync_error", "cross_driven_sync_offset"),
        *("lse_c", "lse_d", "syncnet_offset"),
    ]
