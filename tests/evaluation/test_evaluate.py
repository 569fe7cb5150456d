"""Evaluation of the demo subject against itself and against videos with known errors."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch

from dfa_nerfstudio.demo.make_clip import ClipConfig, make_clip, truth_path
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.evaluate import Evaluation, EvaluationConfig, evaluate
from dfa_nerfstudio.evaluation.evaluate_command import evaluate_command
from dfa_nerfstudio.evaluation.protocols import PROTOCOLS, Protocol
from dfa_nerfstudio.evaluation.report.comparison_table import latex_table, table_rows
from dfa_nerfstudio.evaluation.report.evaluation_io import load, save
from dfa_nerfstudio.evaluation.video_pairs import VideoPair, video_pair
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.npz import load_npz
from dfa_nerfstudio.media.video_writer import VideoWriter
from tests.pipeline_fixture import run


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of four seconds at 192 pixels, with blinks."""
    path = tmp_path_factory.mktemp("clip") / "demo.mp4"
    make_clip(path, ClipConfig(seconds=4, seed=5, size=192, blink_rate=0.75))
    return path


@pytest.fixture(scope="module")
def frames(clip: Path) -> np.ndarray:
    with av.open(str(clip)) as video:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)])


def _evaluated(prediction: np.ndarray, truth: np.ndarray, *protocols: Protocol) -> Evaluation:
    pair = VideoPair("demo", prediction, truth, np.ones(len(truth), bool), None, None)
    return evaluate(pair, EvaluationConfig(protocols or PROTOCOLS))


def test_the_truth_against_itself_has_perfect_scores(frames: np.ndarray, clip: Path):
    result = _evaluated(frames, frames)
    assert result.missing == {"truth": 0, "prediction": 0}
    for values in result.image_metrics.values():
        assert values["psnr"] > 100 and values["ssim"] == pytest.approx(1) and values["sharpness"] == 1
    assert result.image_metrics["full"]["ms_ssim"] == pytest.approx(1)
    for name in ("lmd", "face_lmd", "upper_face", "lower_face", "d_rot", "d_pos"):
        assert result.metrics[name] == pytest.approx(0, abs=1e-9)
    for part in ("mouth", "eyes"):
        assert result.metrics[f"{part}_amplitude_ratio"] == pytest.approx(1)
        assert result.metrics[f"{part}_correlation"] == pytest.approx(1)
    blinks = len(load_npz(truth_path(clip))["blinks"])
    assert result.truth["blink_rate"] * len(frames) / 25 == pytest.approx(blinks, abs=1)


def test_a_frozen_video_has_no_amplitude_blinks_or_jitter(frames: np.ndarray):
    result = _evaluated(np.broadcast_to(frames[:1], frames.shape), frames, "full")
    assert result.metrics["mouth_amplitude_ratio"] < 0.1 and result.metrics["eyes_amplitude_ratio"] < 0.1
    assert result.metrics["blink_rate"] == 0 < result.truth["blink_rate"]
    assert result.metrics["jitter_rotation"] < result.truth["jitter_rotation"]
    assert result.metrics["lmd"] > 0.3 and result.metrics["d_rot"] > 5


def test_only_the_full_protocol_counts_errors_beside_the_head(frames: np.ndarray):
    wrong = frames.copy()
    wrong[:, -20:] = 255 - wrong[:, -20:]
    wrong[:, :, :8] = 0
    result = _evaluated(wrong, frames)
    assert result.image_metrics["full"]["psnr"] < 20
    assert result.image_metrics["head"]["psnr"] > result.image_metrics["full"]["psnr"] + 15
    assert result.image_metrics["face"]["psnr"] > 100


def test_frames_without_a_face_are_counted_and_left_out(frames: np.ndarray):
    covered = frames.copy()
    covered[40:60] = 128
    result = _evaluated(covered, frames, "full")
    assert 20 <= result.missing["prediction"] <= 24
    assert result.metrics["lmd"] < 0.05 and np.isnan(result.curves["lmd"][50])
    with pytest.raises(UserError, match="only 0 of 30 frames show a face"):
        _evaluated(frames[:30], np.full_like(frames[:30], 90))


def test_metrics_that_cannot_be_computed_are_left_out_with_a_note(
    frames: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))  # no weights in the cache
    result = _evaluated(frames[:20, ::2, ::2], np.full_like(frames[:20, ::2, ::2], 90), "full")
    assert result.image_metrics["full"].keys() == {"psnr", "ssim", "sharpness"} and result.metrics == {}
    for text in ("MS-SSIM needs frames of 161", "`lpips_weights`", "only 0 of 20 frames show", "`syncnet_weights`"):
        assert sum(text in note for note in result.notes) == 1


def test_true_openings_are_reported_without_predicted_faces(frames: np.ndarray):
    result = _evaluated(np.full_like(frames[:20], 90), frames[:20], "full")
    assert result.metrics == {} and len(result.curves["eye opening, truth"]) == 20
    assert any("the prediction: too few frames show a face" in note for note in result.notes)


def test_videos_of_other_length_size_and_rate_are_aligned_or_refused(tmp_path: Path, clip: Path, frames: np.ndarray):
    short = tmp_path / "short.mp4"
    with VideoWriter(short, 30, (96, 96), 16_000) as writer:
        writer.write_audio(read_audio(clip)[:32_000])
        for frame in frames[:60, ::2, ::2]:
            writer.write_frame(np.ascontiguousarray(frame))
    pair = video_pair(short, clip)
    assert pair.prediction.shape == pair.truth.shape == (50, 192, 192, 3)
    notes = " ".join(pair.notes)
    assert "96x96 pixels, resized to 192x192" in notes and "has 50 frames" in notes and "30 frames/s" in notes
    for first, second in ((short, clip), (clip, short)):
        refused = run("dfa-eval", "--video", first, "--reference", second, "--mismatch", "refuse")
        assert refused.returncode == 2 and "--mismatch align" in refused.stderr and "Traceback" not in refused.stderr


def test_reports_are_written_and_compared_by_the_command(tmp_path: Path, clip: Path):
    out = tmp_path / "report"
    written = run("dfa-eval", "--video", clip, "--reference", clip, "--output", out, "--latex", "--protocols", "full")
    assert written.returncode == 0, written.stderr
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "data:video/mp4" in page and "Worst frames" in page and 'src="http' not in page
    assert r"\toprule" in (out / "table.tex").read_text()
    compared = run("dfa-eval", "compare", out, out / "report.json", "--names", "one", "other")
    assert compared.returncode == 0 and "one" in compared.stdout and "PSNR" in compared.stdout
    refused = run("dfa-eval", "--video", clip, "--reference", tmp_path / "none.mp4")
    assert refused.returncode == 2 and "none.mp4: no such file" in refused.stderr.replace("\n", " ")
    with pytest.raises(UserError, match="give either `load_config`, or both `video` and `reference`"):
        evaluate_command(EvaluationConfig(), video=clip)
    with pytest.raises(UserError, match="not a report of dfa-eval"):
        load(tmp_path)


def test_a_stored_report_is_read_back_and_tabulated(tmp_path: Path):
    first = Evaluation("a", "s", 3, 3, (8, 8), {"full": {"psnr": 30.0}}, {"lmd": 2.0, "blink_rate": 0.2})
    first.truth, first.curves = {"blink_rate": 0.5}, {"lmd": [1.0, float("nan"), 3.0]}
    save(first, tmp_path / "report.json")
    again = load(tmp_path)
    assert again.curves["lmd"] == [1.0, None, 3.0] and again.metrics == first.metrics and again.size == (8, 8)
    second = Evaluation("b", "s", 3, 3, (8, 8), {"full": {"psnr": 31.0}}, {"lmd": 3.0, "blink_rate": 0.4})
    best = {row.label: row.best for row in table_rows([first, second])}
    assert best == {"PSNR (full), dB": 1, "LMD, px": 0, "Blinks, 1/s": 1}
    assert r"PSNR (full), dB $\uparrow$ & 30.00 & \textbf{31.00} & -- \\" in latex_table([first, second], ["a", "b"])
