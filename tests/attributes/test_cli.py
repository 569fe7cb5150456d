"""Tests of the command `dfa-attributes`: output files, and errors for bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dfa_nerfstudio.attributes import cli
from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.audio_features import SpeechFeature
from dfa_nerfstudio.data.dataset_folder import ClipAttributes, DatasetFolder
from dfa_nerfstudio.media.audio import write_wav
from tests.attributes.synthetic import synthetic_clip


def write_folder(path: Path, frames: int, num_train: int, clip: ClipAttributes | None = None) -> Path:
    clip = clip or synthetic_clip(frames)
    for name in ("images", "masks", "torso_masks"):
        (path / name).mkdir(parents=True)
    for index in range(frames):
        (path / f"images/{index:05d}.jpg").touch()
        (path / f"masks/{index:05d}.png").touch()
        (path / f"torso_masks/{index:05d}.png").touch()
    write_wav(path / "audio.wav", 0.1 * np.random.default_rng(frames).standard_normal(640 * frames).astype(np.float32))
    (path / "background.png").touch()
    clip.save(path / "attributes.npz")
    DatasetFolder.write_transforms(
        path, focal_length=200, size=(64, 64), num_train=num_train, head_to_camera=clip.head_to_camera
    )
    return path


def run_command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["dfa-attributes", *arguments])
    cli.main()


def test_writes_models_and_track_of_all_frames(tmp_path, monkeypatch, capsys):
    folder = write_folder(tmp_path / "me", 240, 180)
    monkeypatch.chdir(tmp_path)
    run_command(monkeypatch, str(folder), "--step-multiplier", "0.02", "--no-progress")
    assert "sync, 1 s windows" in capsys.readouterr().out
    models, track = AttributeModels.load(folder / "attribute_models.pt"), AttributeTrack.load(folder / "track.npz")
    assert len(track) == 240
    report = json.loads((folder / "attribute_report.json").read_text())
    channels = [(one["length scale, frames"], one["nats per frame"]) for one in report["latent channels"]]
    assert len(channels) == models.config.latent.latent_dim and all(nats >= 0 for _, nats in channels)
    assert (track.eye_kind, track.mouth_kind) == (models.eye_kind, models.lip_kind)
    assert AttributeTrack.load(folder / "track_f_a.npz").mouth_kind == models.audio_kind
    assert models.sizes["speech_kind"] == str(SpeechFeature().kind)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["me"]  # no logs or checkpoints are left


def test_further_videos_of_the_person_are_used_and_bad_ones_named(tmp_path, monkeypatch, capsys):
    folder, take = write_folder(tmp_path / "me", 150, 120), write_folder(tmp_path / "take2", 160, 140)
    options = ("--step-multiplier", "0.02", "--no-progress")
    weights = []
    for more in ((), ("--more", str(take))):
        run_command(monkeypatch, str(folder), *more, *options)
        weights.append(AttributeModels.load(folder / "attribute_models.pt").state_dict())
    for name in ("lips.predictor.own.coefficients", "cross_modal.audio.weight"):
        assert not torch.equal(weights[0][name], weights[1][name]), f"{name} does not depend on the further video"
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0] if name.startswith("autoencoder"))
    (take / "attributes.npz").unlink()
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        run_command(monkeypatch, str(folder), "--more", str(take), *options)
    assert stop.value.code == 2 and "take2/attributes.npz: missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "attributes.npz").unlink(), "attributes.npz: missing"),
        (lambda folder: (folder / "attributes.npz").write_bytes(b"PK"), "truncated"),
        (lambda folder: (folder / "transforms.json").write_text("{"), "transforms.json: missing or damaged"),
        (lambda folder: (folder / "audio.wav").write_bytes(b"RIFF"), "audio.wav: unreadable"),
    ],
)
def test_a_damaged_folder_gives_one_error_line_and_code_2(tmp_path, monkeypatch, capsys, damage, message):
    folder = write_folder(tmp_path / "me", 100, 90)
    damage(folder)
    with pytest.raises(SystemExit) as stop:
        run_command(monkeypatch, str(folder), "--no-progress")
    error = capsys.readouterr().err
    assert stop.value.code == 2 and message in error and error.count("\n") == 1
    assert not (folder / "track.npz").exists() and not (folder / "attribute_models.pt").exists()


def test_a_clip_shorter_than_one_window_is_an_error(tmp_path, monkeypatch, capsys):
    folder = write_folder(tmp_path / "me", 60, 50)
    with pytest.raises(SystemExit) as stop:
        run_command(monkeypatch, str(folder), "--no-progress")
    assert stop.value.code == 2 and "use a longer video" in capsys.readouterr().err


def test_the_command_line_does_not_import_torch_or_lightning():
    code = "import sys, dfa_nerfstudio.attributes.cli; print([m for m in ('torch', 'lightning') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
