"""Training on many people: identity is factored out, sound that comes late is noticed, and what is refused."""

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
from dfa_nerfstudio.attributes.attribute_report import confusion, recording_curves, sync_of
from dfa_nerfstudio.attributes.av_offset import measure_offset
from dfa_nerfstudio.attributes.disentanglement_metrics import readings, swap_figures
from dfa_nerfstudio.attributes.pretrain import PretrainConfig, train_on_corpus
from dfa_nerfstudio.attributes.pretrained_models import GeneralModels
from dfa_nerfstudio.attributes.recordings import Recording, SoundAndLips, read_recordings
from dfa_nerfstudio.attributes.speech_models import SpeechModels
from dfa_nerfstudio.attributes.sync_metrics import frame_curves, in_sync, offsets_by_the_rest
from dfa_nerfstudio.data.dataset_folder import ATTRIBUTES, ClipAttributes
from dfa_nerfstudio.errors import UserError
from tests.attributes.synthetic import synthetic_clip
from tests.attributes.test_cli import write_folder

LATE = {"ann": 0, "bea": 9, "carl": -6, "dora": 3, "emil": 0, "finn": -3}
"""Rows of 10 ms."""


def person(seed: int, late: int, frames: int = 260) -> ClipAttributes:
    """Somebody whose face is another one, and whose sound comes `late` rows late."""
    clip = synthetic_clip(frames, seed)
    identity = 0.05 * np.random.default_rng(seed).standard_normal((68, 3)).astype(np.float32)
    rows = (np.arange(len(clip.mfcc)) - late).clip(0, len(clip.mfcc) - 1)
    return replace(
        clip,
        front_landmarks=clip.front_landmarks + identity,
        mean_shape=clip.mean_shape + identity,
        mfcc=clip.mfcc[rows],
    )


@pytest.fixture(scope="module")
def people() -> list[Recording]:
    clips = {name: person(seed, late) for seed, (name, late) in enumerate(LATE.items(), 10)}
    return [Recording.of(clip, slice(None), name) for name, clip in clips.items()]


@pytest.fixture(scope="module")
def stranger() -> Recording:
    return Recording.of(person(50, 5, 400), slice(None), "stranger")


@pytest.fixture(scope="module")
def trained(people: list[Recording]) -> tuple[SpeechModels, dict[str, int]]:
    config = PretrainConfig(progress=False, effort=1.0)
    config.models.disentangling.fit.steps, config.models.audio.fit.steps = 350, 120
    return train_on_corpus(people, config)


def test_each_recordings_offset_is_measured(trained: tuple[SpeechModels, dict[str, int]]) -> None:
    errors = np.array([trained[1][name] - late for name, late in LATE.items()])
    assert np.abs(errors - np.median(errors)).max() <= 2 and abs(np.median(errors)) <= 2


def test_somebody_unseen_is_in_step(trained: tuple[SpeechModels, dict[str, int]], stranger: Recording) -> None:
    models, _ = trained
    assert measure_offset(models, stranger) == pytest.approx(5, abs=2)
    assert sync_of(recording_curves(models, stranger, late=5))["sync, 1 s"] > 0.9
    assert sync_of(recording_curves(models, stranger, late=-35))["sync, 1 s"] < 0.1
    # as late as the rest of the recording, however late that is
    assert sync_of(recording_curves(models, stranger, late=-35))["as the rest, 1 s"] > 0.9
    backwards = replace(stranger, mfcc=stranger.mfcc.flip(0))
    assert sync_of(recording_curves(models, backwards))["as the rest, 1 s"] < 0.5


def test_the_right_sound_is_found(trained: tuple[SpeechModels, dict[str, int]], stranger: Recording) -> None:
    parts = [stranger.part(slice(start, start + 100)) for start in range(0, 400, 100)]
    assert confusion(trained[0], parts).argmax(1).tolist() == [0, 1, 2, 3]


def test_identity_is_factored_out(trained: tuple[SpeechModels, dict[str, int]], stranger: Recording) -> None:
    models, _ = trained
    faces = models.faces(stranger)
    figures = swap_figures(models.autoencoder, faces)
    assert figures["landmark error, %"] < 1.5 and figures["eyes moved by mouth swap"] < 0.1
    figures = readings(models.autoencoder, faces[:200], faces[200:])
    assert figures["mouth opening from f_m, R2"] > 0.95 and figures["mouth opening from f_e, R2"] < 0.1
    assert figures["eye opening from f_e, R2"] > 0.9 and figures["eye opening from f_m, R2"] < 0.1


def test_recordings_are_laid_end_to_end(people: list[Recording]) -> None:
    """A frame's row is its own recording's, shifted by its offset, and no window reaches into another recording."""
    lips = [torch.zeros(len(recording), 1) for recording in people]
    laid = SoundAndLips.of(people, lips, {"bea": 9})
    assert laid.shot.unique().tolist() == list(range(len(people)))
    frame = 260 + 100  # the second one's hundredth
    assert torch.equal(laid.mfcc[laid.row[frame]], people[1].mfcc[4 * 100 + 9])
    assert torch.equal(laid.mfcc[laid.row[260] - 9 - 30], people[1].mfcc[0])
    last = laid.row[2 * 260 - 1]
    assert torch.equal(laid.mfcc[last + 30], people[1].mfcc[-1])


def test_offsets_by_the_rest_do_not_look_at_the_window() -> None:
    curves = torch.zeros(100, 31)
    curves[:, 15] = 1.0
    curves[:40, 18], curves[:40, 15] = 1.0, 0.0  # the first part says 3, the others 0
    told = offsets_by_the_rest(curves, 40)
    assert told[0] == 0 and told[60] == 3 and len(told) == 61
    windows = curves.unfold(0, 40, 1).mean(-1)
    assert in_sync(windows)[0] == 0 and in_sync(windows, told)[0] == 0
    assert offsets_by_the_rest(curves[:40], 40).tolist() == [0]
    assert frame_curves(torch.zeros(20, 2), torch.zeros(20, 2)).shape == (0, 31)


def corpus(path: Path) -> Path:
    for seed, (name, late) in enumerate(list(LATE.items())[:4], 10):
        folder = write_folder(path / name, 130, 120)
        person(seed, late, 130).save(folder / ATTRIBUTES)
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    monkeypatch.setattr("sys.argv", ["dfa-attributes", *map(str, arguments)])
    cli.main()


def test_pretrain_then_go_on_with_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    folders, model = corpus(tmp_path / "corpus"), tmp_path / "general.pt"
    shutil.rmtree(folders / "dora" / "masks")
    short = write_folder(folders / "group" / "short", 40, 36)
    options = ("--output", model, "--effort", "0.05", "--validation", "0.3", "--no-progress")
    run(monkeypatch, "pretrain", folders, *options)
    words = " ".join(capsys.readouterr().out.split())
    assert "2 recordings to learn from, 1 to check with" in words
    assert f"{short}: only 1.4 s" in words and "dora" in words
    report = json.loads(model.with_suffix(".json").read_text())
    assert len(report["offsets_ms"]) == 3 and len(report["left_out"]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "general.json", "general.pt"]

    me = folders / "ann"
    run(monkeypatch, me, "--pretrained", model, "--finetune", "0", "--effort", "0.02", "--no-progress")
    pretrained, own = GeneralModels.load(model), AttributeModels.load(me / "attribute_models.pt")
    assert own.audio_kind == pretrained.audio_kind and torch.equal(own.motion.scale, pretrained.motion.scale)
    for part in ("vae", "cross_modal"):
        taken, given = (getattr(models, part).state_dict() for models in (own, pretrained))
        assert all(torch.equal(taken[name], given[name]) for name in given)
    assert not torch.equal(own.autoencoder.mean_face, pretrained.autoencoder.mean_face)
    with pytest.raises(UserError, match="not a file of dfa-nerfstudio general models"):
        GeneralModels.load(me / "attribute_models.pt")
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, me, "--pretrained", tmp_path / "none.pt", "--no-progress")
    assert stop.value.code == 2 and "pretrain FOLDERS" in capsys.readouterr().err


def test_an_interrupted_training_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dfa_nerfstudio.attributes.contrastive_loss import SynchronisationObjective
    from dfa_nerfstudio.attributes.disentangling_autoencoder import DisentanglingObjective

    folders, model = corpus(tmp_path / "corpus"), tmp_path / "general.pt"
    options = ("--output", model, "--effort", "0.05", "--no-progress")
    steps, loss = [], SynchronisationObjective.training_loss

    def interrupted(self: SynchronisationObjective, progress: float) -> dict[str, torch.Tensor]:
        steps.append(progress)
        if len(steps) == 12:
            raise KeyboardInterrupt
        return loss(self, progress)

    monkeypatch.setattr(SynchronisationObjective, "training_loss", interrupted)
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, "pretrain", folders, *options)
    assert stop.value.code == 130 and not model.exists()
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, "pretrain", folders, *options, "--resume", "--seed", "1")
    assert stop.value.code == 2

    def never(self: DisentanglingObjective, progress: float) -> dict[str, torch.Tensor]:
        raise AssertionError("mouth and eyes were trained already")

    monkeypatch.setattr(DisentanglingObjective, "training_loss", never)
    run(monkeypatch, "pretrain", folders, *options, "--resume")
    assert model.exists() and not (tmp_path / ".general.resume").exists()


def test_two_devices_train_one_model(people: list[Recording]) -> None:
    from dfa_nerfstudio.attributes.disentangling_autoencoder import DisentanglingObjective
    from dfa_nerfstudio.attributes.lightning_module import fit
    from dfa_nerfstudio.attributes.objective import FitConfig, Hardware

    models = SpeechModels(PretrainConfig().models, people[0].mfcc.shape[1])
    models.autoencoder.measure(people[0].neutral, people[0].expression)
    before = models.state_dict()["autoencoder.encoder.0.weight"].clone()
    objective = DisentanglingObjective(models.autoencoder, models.faces(people[0]), check=models.faces(people[1]))
    result = fit(
        objective,
        FitConfig(steps=6, checks=2),
        name="mouth and eyes",
        progress=False,
        hardware=Hardware(accelerator="cpu", devices=2),
    )
    assert not torch.equal(models.autoencoder.encoder[0].weight, before)
    assert result["validation"] == pytest.approx(float(objective.validation_loss()))


def test_a_corpus_of_no_use_is_refused(tmp_path: Path) -> None:
    one = corpus(tmp_path / "corpus") / "ann"
    recordings, skipped = read_recordings([one])
    assert not skipped and [recording.group for recording in recordings] == [str(one)]
    with pytest.raises(UserError, match="1 recording to learn from; a corpus needs two"):
        train_on_corpus(recordings, PretrainConfig(progress=False))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty: holds no dataset folder"):
        read_recordings([tmp_path / "empty"])
    silent = ClipAttributes.load(one / ATTRIBUTES)
    silent.mfcc[:] = -300.0
    silent.save(one / ATTRIBUTES)
    assert "ann: silent" in read_recordings([tmp_path / "corpus"])[1][0]
