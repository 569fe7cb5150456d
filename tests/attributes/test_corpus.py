"""Tests of training on many people: identity, audio offsets, resuming, and errors for bad corpora."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dfa_nerfstudio.attributes import cli
from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.attribute_report import cross_similarity, recording_curves, sync_shares
from dfa_nerfstudio.attributes.av_offset import measure_offset
from dfa_nerfstudio.attributes.disentanglement_metrics import probe_metrics, swap_metrics
from dfa_nerfstudio.attributes.pretrain import PretrainConfig, train_on_corpus
from dfa_nerfstudio.attributes.pretrained_models import PretrainedModels
from dfa_nerfstudio.attributes.recordings import AudioVisualSequence, Recording, read_recordings
from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.attributes.sync_metrics import frame_curves, is_in_sync, leave_window_out_offsets
from dfa_nerfstudio.data.dataset_folder import ATTRIBUTES, ClipAttributes, DatasetFolder
from dfa_nerfstudio.errors import UserError
from tests.attributes.synthetic import synthetic_clip
from tests.attributes.test_cli import write_folder

OFFSETS = {"ann": 0, "bea": 9, "carl": -6, "dora": 3, "emil": 0, "finn": -3}
"""Audio delay of each person's recording in MFCC rows (10 ms)."""


def person(seed: int, offset: int, frames: int = 260) -> ClipAttributes:
    """A clip of a person with another identity, whose audio is delayed by `offset` rows."""
    clip = synthetic_clip(frames, seed)
    identity = 0.05 * np.random.default_rng(seed).standard_normal((68, 3)).astype(np.float32)
    rows = (np.arange(len(clip.mfcc)) - offset).clip(0, len(clip.mfcc) - 1)
    return replace(
        clip,
        front_landmarks=clip.front_landmarks + identity,
        mean_shape=clip.mean_shape + identity,
        mfcc=clip.mfcc[rows],
    )


@pytest.fixture(scope="module")
def people() -> list[Recording]:
    clips = {name: person(seed, offset) for seed, (name, offset) in enumerate(OFFSETS.items(), 10)}
    return [Recording.from_clip(clip, slice(None), name) for name, clip in clips.items()]


@pytest.fixture(scope="module")
def stranger() -> Recording:
    return Recording.from_clip(person(50, 5, 400), slice(None), "stranger")


@pytest.fixture(scope="module")
def trained(people: list[Recording]) -> tuple[SpeechModels, dict[str, int]]:
    config = PretrainConfig(progress=False, step_multiplier=1.0)
    config.models.disentangling.fit.steps, config.models.audio.fit.steps = 350, 120
    return train_on_corpus(people, config)


def test_offset_of_each_recording_is_measured(trained: tuple[SpeechModels, dict[str, int]]) -> None:
    errors = np.array([trained[1][name] - offset for name, offset in OFFSETS.items()])
    assert np.abs(errors - np.median(errors)).max() <= 2 and abs(np.median(errors)) <= 2


def test_sync_and_offset_of_an_unseen_person(trained: tuple[SpeechModels, dict[str, int]], stranger: Recording) -> None:
    models, _ = trained
    assert measure_offset(models, stranger) == pytest.approx(5, abs=2)
    assert sync_shares(recording_curves(models, stranger, offset=5))["sync, 1 s"] > 0.9
    assert sync_shares(recording_curves(models, stranger, offset=-35))["sync, 1 s"] < 0.1
    # In sync at the offset of the rest of the recording, whatever that offset is.
    assert sync_shares(recording_curves(models, stranger, offset=-35))["sync at own offset, 1 s"] > 0.9
    reversed_audio = replace(stranger, mfcc=stranger.mfcc.flip(0))
    assert sync_shares(recording_curves(models, reversed_audio))["sync at own offset, 1 s"] < 0.5


def test_lips_are_most_similar_to_their_own_audio(
    trained: tuple[SpeechModels, dict[str, int]], stranger: Recording
) -> None:
    parts = [stranger.part(slice(start, start + 100)) for start in range(0, 400, 100)]
    assert cross_similarity(trained[0], parts).argmax(1).tolist() == [0, 1, 2, 3]


def test_identity_is_factored_out(trained: tuple[SpeechModels, dict[str, int]], stranger: Recording) -> None:
    models, _ = trained
    faces = models.faces(stranger)
    metrics = swap_metrics(models.autoencoder, faces)
    assert metrics["landmark error, %"] < 1.5 and metrics["eyes moved by mouth swap"] < 0.1
    metrics = probe_metrics(models.autoencoder, faces[:200], faces[200:])
    assert metrics["mouth opening from f_m, R2"] > 0.95 and metrics["mouth opening from f_e, R2"] < 0.1
    assert metrics["eye opening from f_e, R2"] > 0.9 and metrics["eye opening from f_m, R2"] < 0.1


def test_concatenated_recordings_keep_their_rows_and_offsets(people: list[Recording]) -> None:
    """The row of a frame is shifted by its recording's offset, and no window reaches into another recording."""
    lips = [torch.zeros(len(recording), 1) for recording in people]
    sequence = AudioVisualSequence.from_recordings(people, lips, {"bea": 9})
    assert sequence.shot.unique().tolist() == list(range(len(people)))
    frame = 260 + 100  # frame 100 of the second recording
    assert torch.equal(sequence.mfcc[sequence.row[frame]], people[1].mfcc[4 * 100 + 9])
    assert torch.equal(sequence.mfcc[sequence.row[260] - 9 - 30], people[1].mfcc[0])
    last = sequence.row[2 * 260 - 1]
    assert torch.equal(sequence.mfcc[last + 30], people[1].mfcc[-1])


def test_leave_window_out_offsets_ignore_the_window() -> None:
    curves = torch.zeros(100, 31)
    curves[:, 15] = 1.0
    curves[:40, 18], curves[:40, 15] = 1.0, 0.0  # best offset 3 in the first part, 0 in the others
    offsets = leave_window_out_offsets(curves, 40)
    assert offsets[0] == 0 and offsets[60] == 3 and len(offsets) == 61
    windows = curves.unfold(0, 40, 1).mean(-1)
    assert is_in_sync(windows)[0] == 0 and is_in_sync(windows, offsets)[0] == 0
    assert leave_window_out_offsets(curves[:40], 40).tolist() == [0]
    assert frame_curves(torch.zeros(20, 2), torch.zeros(20, 2)).shape == (0, 31)


def corpus(path: Path) -> Path:
    for seed, (name, offset) in enumerate(list(OFFSETS.items())[:4], 10):
        write_folder(path / name, 130, 120, person(seed, offset, 130))
    return path


def run_command(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    monkeypatch.setattr("sys.argv", ["dfa-attributes", *map(str, arguments)])
    cli.main()


def test_pretrain_then_train_one_person_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    folders, model = corpus(tmp_path / "corpus"), tmp_path / "pretrained.pt"
    shutil.rmtree(folders / "dora" / "masks")
    short = write_folder(folders / "group" / "short", 40, 36)
    options = ("--output", model, "--step-multiplier", "0.05", "--validation", "0.3", "--no-progress")
    run_command(monkeypatch, "pretrain", folders, *options)
    output = " ".join(capsys.readouterr().out.split())
    assert "2 recordings for training, 1 for validation" in output
    assert f"{short}: only 1.4 s" in output and "dora" in output
    report = json.loads(model.with_suffix(".json").read_text())
    assert len(report["offsets_ms"]) == 3 and len(report["skipped"]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "pretrained.json", "pretrained.pt"]

    me = folders / "ann"
    run_command(monkeypatch, me, "--pretrained", model, "--finetune", "0", "--step-multiplier", "0.02", "--no-progress")
    pretrained, own = PretrainedModels.load(model), AttributeModels.load(me / "attribute_models.pt")
    assert own.audio_kind == pretrained.audio_kind and torch.equal(own.motion.scale, pretrained.motion.scale)
    for part in ("vae", "cross_modal"):
        own_weights, stored = (getattr(models, part).state_dict() for models in (own, pretrained))
        assert all(torch.equal(own_weights[name], stored[name]) for name in stored)
    assert not torch.equal(own.autoencoder.mean_face, pretrained.autoencoder.mean_face)
    with pytest.raises(UserError, match="not a file of dfa-nerfstudio pretrained models"):
        PretrainedModels.load(me / "attribute_models.pt")
    with pytest.raises(SystemExit) as stop:
        run_command(monkeypatch, me, "--pretrained", tmp_path / "none.pt", "--no-progress")
    assert stop.value.code == 2 and "pretrain FOLDERS" in capsys.readouterr().err


def test_interrupted_training_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dfa_nerfstudio.attributes.contrastive_loss import ContrastiveObjective
    from dfa_nerfstudio.attributes.disentangling_autoencoder import DisentanglingObjective

    folders, model = corpus(tmp_path / "corpus"), tmp_path / "pretrained.pt"
    options = ("--output", model, "--step-multiplier", "0.05", "--validation", "0.3", "--no-progress")
    run_command(monkeypatch, "pretrain", folders, *options)
    undisturbed = model.rename(tmp_path / "undisturbed.pt")
    steps, loss = [], ContrastiveObjective.training_loss

    def interrupted(self: ContrastiveObjective, progress: float) -> dict[str, torch.Tensor]:
        steps.append(progress)
        if len(steps) == 42:  # in the training of E_a, which has validations
            raise KeyboardInterrupt
        return loss(self, progress)

    monkeypatch.setattr(ContrastiveObjective, "training_loss", interrupted)
    with pytest.raises(SystemExit) as stop:
        run_command(monkeypatch, "pretrain", folders, *options)
    assert stop.value.code == 130 and not model.exists()
    with pytest.raises(SystemExit) as stop:
        run_command(monkeypatch, "pretrain", folders, *options, "--resume", "--seed", "1")
    assert stop.value.code == 2

    def never(self: DisentanglingObjective, progress: float) -> dict[str, torch.Tensor]:
        raise AssertionError("the autoencoder is already trained")

    monkeypatch.setattr(DisentanglingObjective, "training_loss", never)
    run_command(monkeypatch, "pretrain", folders, *options, "--resume")
    assert not (tmp_path / ".pretrained.resume").exists()
    weights, resumed = (PretrainedModels.load(path).state_dict() for path in (undisturbed, model))
    assert [name for name in weights if not torch.equal(weights[name], resumed[name])] == []


def test_two_devices_train_one_model(people: list[Recording]) -> None:
    from dfa_nerfstudio.attributes.disentangling_autoencoder import DisentanglingObjective
    from dfa_nerfstudio.attributes.lightning_module import fit
    from dfa_nerfstudio.attributes.objective import FitConfig, Hardware

    models = SpeechModels(PretrainConfig().models, people[0].mfcc.shape[1])
    models.autoencoder.set_statistics(people[0].neutral, people[0].expression)
    before = models.state_dict()["autoencoder.encoder.0.weight"].clone()
    objective = DisentanglingObjective(
        models.autoencoder, models.faces(people[0]), val_landmarks=models.faces(people[1])
    )
    result = fit(
        objective,
        FitConfig(steps=6, num_validations=2),
        name="autoencoder",
        progress=False,
        hardware=Hardware(accelerator="cpu", devices=2),
    )
    assert not torch.equal(models.autoencoder.encoder[0].weight, before)
    assert result["validation"] == pytest.approx(float(objective.validation_loss()))


def test_unusable_corpora_are_errors(tmp_path: Path) -> None:
    one = corpus(tmp_path / "corpus") / "ann"
    recordings, skipped = read_recordings([one])
    assert not skipped and [recording.group for recording in recordings] == [str(one)]
    with pytest.raises(UserError, match="1 recording for training; a corpus needs two"):
        train_on_corpus(recordings, PretrainConfig(progress=False))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty: contains no dataset folder"):
        read_recordings([tmp_path / "empty"])
    silent = DatasetFolder.open(one).attributes
    silent.mfcc[:] = -300.0
    silent.save(one / ATTRIBUTES)
    assert "ann: silent" in read_recordings([tmp_path / "corpus"])[1][0]
