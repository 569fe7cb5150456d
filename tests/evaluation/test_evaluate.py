"""Evaluations of the demo subject against itself and against what is wrong in a known way."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from dfa_nerfstudio.demo.make_clip import ClipConfig, make_clip, truth_path
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.evaluate import Evaluation, EvaluationConfig, evaluate
from dfa_nerfstudio.evaluation.evaluate_command import evaluate_command
from dfa_nerfstudio.evaluation.protocols import PROTOCOLS, Protocol
from dfa_nerfstudio.evaluation.report.comparison_table import latex_table, table_rows
from dfa_nerfstudio.evaluation.report.evaluation_io import load, save
from dfa_nerfstudio.evaluation.video_pairs import Pair, video_pair
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.npz import load_npz
from dfa_nerfstudio.media.video_writer import VideoWriter
from tests.pipeline_fixture import run


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds, 192 pixels, with blinks."""
    path = tmp_path_factory.mktemp("clip") / "demo.mp4"
    make_clip(path, ClipConfig(seconds=4, seed=5, size=192, blink_rate=0.75))
    return path


@pytest.fixture(scope="module")
def frames(clip: Path) -> np.ndarray:
    with av.open(str(clip)) as film:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)])


def _scored(pictures: np.ndarray, truth: np.ndarray, *protocols: Protocol) -> Evaluation:
    pair = Pair("demo", pictures, truth, np.ones(len(truth), bool), None, None)
    return evaluate(pair, EvaluationConfig(protocols or PROTOCOLS))


def test_the_truth_itself_is_perfect(frames: np.ndarray, clip: Path):
    result = _scored(frames, frames)
    assert result.missing == {"truth": 0, "pictures": 0}
    for figures in result.pictures.values():
        assert figures["psnr"] > 100 and figures["ssim"] == pytest.approx(1) and figures["sharpness"] == 1
    assert result.pictures["full"]["ms_ssim"] == pytest.approx(1)
    for name in ("lmd", "face_lmd", "upper_face", "lower_face", "d_rot", "d_pos"):
        assert result.figures[name] == pytest.approx(0, abs=1e-9)
    assert result.figures["mouth_follows"] == pytest.approx(1) and result.figures["eyes_follow"] == pytest.approx(1)
    blinks = len(load_npz(truth_path(clip))["blinks"])
    assert result.truth["blink_rate"] * len(frames) / 25 == pytest.approx(blinks, abs=1)


def test_a_frozen_picture_is_found_out(frames: np.ndarray):
    result = _scored(np.broadcast_to(frames[:1], frames.shape), frames, "full")
    assert result.figures["mouth_moves"] < 0.1 and result.figures["eyes_move"] < 0.1
    assert result.figures["blink_rate"] == 0 < result.truth["blink_rate"]
    assert result.figures["jitter_rotation"] < result.truth["jitter_rotation"]
    assert result.figures["lmd"] > 0.3 and result.figures["d_rot"] > 5


def test_only_the_protocol_full_sees_what_is_wrong_beside_the_head(frames: np.ndarray):
    wrong = frames.copy()
    wrong[:, -20:] = 255 - wrong[:, -20:]
    wrong[:, :, :8] = 0
    result = _scored(wrong, frames)
    assert result.pictures["full"]["psnr"] < 20
    assert result.pictures["head"]["psnr"] > result.pictures["full"]["psnr"] + 15
    assert result.pictures["face"]["psnr"] > 100


def test_frames_without_a_face_are_counted_and_left_out(frames: np.ndarray):
    covered = frames.copy()
    covered[40:60] = 128
    result = _scored(covered, frames, "full")
    assert 20 <= result.missing["pictures"] <= 24
    assert result.figures["lmd"] < 0.05 and np.isnan(result.curves["lmd"][50])
    with pytest.raises(UserError, match="a face is seen in only 0 of 30 frames"):
        _scored(frames[:30], np.full_like(frames[:30], 90))


def test_videos_of_other_length_size_and_rate_are_aligned_or_refused(tmp_path: Path, clip: Path, frames: np.ndarray):
    short = tmp_path / "short.mp4"
    with VideoWriter(short, 30, (96, 96), 16_000) as writer:
        writer.hear(read_audio(clip)[:32_000])
        for frame in frames[:60, ::2, ::2]:
            writer.write(np.ascontiguousarray(frame))
    pair = video_pair(short, clip)
    assert pair.pictures.shape == pair.truth.shape == (50, 192, 192, 3)
    notes = " ".join(pair.notes)
    assert "96x96 pixels, resized to 192x192" in notes and "has 50 frames" in notes and "30 frames/s" in notes
    for first, second in ((short, clip), (clip, short)):
        refused = run("dfa-eval", "--video", first, "--reference", second, "--mismatch", "refuse")
        assert refused.returncode == 2 and "--mismatch align" in refused.stderr and "Traceback" not in refused.stderr


def test_the_command_writes_a_report_that_can_be_compared(tmp_path: Path, clip: Path):
    out = tmp_path / "report"
    done = run("dfa-eval", "--video", clip, "--reference", clip, "--output", out, "--latex", "--protocols", "full")
    assert done.returncode == 0, done.stderr
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "data:video/mp4" in page and "Worst frames" in page and 'src="http' not in page
    assert r"\toprule" in (out / "table.tex").read_text()
    beside = run("dfa-eval", "compare", out, out / "report.json", "--names", "one", "other")
    assert beside.returncode == 0 and "one" in beside.stdout and "PSNR" in beside.stdout
    refused = run("dfa-eval", "--video", clip, "--reference", tmp_path / "none.mp4")
    assert refused.returncode == 2 and "none.mp4: no such file" in refused.stderr.replace("\n", " ")
    with pytest.raises(UserError, match="give either --load-config CONFIG, or --video A and --reference B"):
        evaluate_command(EvaluationConfig(), video=clip)
    with pytest.raises(UserError, match="not a report of dfa-eval"):
        load(tmp_path)


def test_reports_keep_what_they_are_told(tmp_path: Path):
    first = Evaluation("a", "s", 3, 3, (8, 8), {"full": {"psnr": 30.0}}, {"lmd": 2.0, "blink_rate": 0.2})
    first.truth, first.curves = {"blink_rate": 0.5}, {"lmd": [1.0, float("nan"), 3.0]}
    save(first, tmp_path / "report.json")
    again = load(tmp_path)
    assert again.curves["lmd"] == [1.0, None, 3.0] and again.figures == first.figures and again.size == (8, 8)
    second = Evaluation("b", "s", 3, 3, (8, 8), {"full": {"psnr": 31.0}}, {"lmd": 3.0, "blink_rate": 0.4})
    best = {row.label: row.best for row in table_rows([first, second])}
    assert best == {"PSNR (full), dB": 1, "LMD, px": 0, "Blinks, 1/s": 1}
    assert r"PSNR (full), dB $\uparrow$ & 30.00 & \textbf{31.00} & -- \\" in latex_table([first, second], ["a", "b"])
