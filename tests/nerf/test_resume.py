"""An interrupted training ends as an undisturbed one, from a checkpoint that can be read."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

from dfa_nerfstudio.nerf.checkpoint_check import newest_readable_checkpoint
from dfa_nerfstudio.nerf.trainer import TalkingHeadTrainer
from tests.nerf.test_model import _trainer

STEPS, INTERRUPTED_AT = 60, 49  # after the first of the averaged weights
CHECKPOINTS = "ball/dfa-nerf-lite/run/nerfstudio_models"


def trainer_for(data: Path, output: Path, load_dir: Path | None = None) -> TalkingHeadTrainer:
    torch.manual_seed(0)
    trainer = _trainer("dfa-nerf-lite", data, output, STEPS, rays=256)
    assert isinstance(trainer, TalkingHeadTrainer)
    if load_dir is not None:
        trainer.config.load_dir = load_dir
        trainer._load_checkpoint()
    return trainer


def tensors(value: object, name: str = "") -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint, by path."""
    if isinstance(value, torch.Tensor):
        return {name: value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    return {path: tensor for key, part in items for path, tensor in tensors(part, f"{name}/{key}").items()}


@pytest.fixture(scope="module")
def undisturbed(ball_person: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the checkpoint of a run of `STEPS` steps."""
    output = tmp_path_factory.mktemp("undisturbed")
    trainer_for(ball_person, output).train()
    return output / CHECKPOINTS


def interrupt_at(trainer: TalkingHeadTrainer, number: int) -> None:
    """Sends SIGTERM within the step of that number."""
    step_of = trainer.train_iteration

    def train_iteration(step: int):
        if step == number:
            os.kill(os.getpid(), signal.SIGTERM)
        return step_of(step)

    trainer.train_iteration = train_iteration


def test_an_interrupted_training_gives_the_same_weights(undisturbed: Path, ball_person: Path, tmp_path: Path) -> None:
    trainer = trainer_for(ball_person, tmp_path)
    interrupt_at(trainer, INTERRUPTED_AT)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        trainer.train()
    assert ended.value.code == 130 and signal.getsignal(signal.SIGTERM) == handler
    checkpoints = tmp_path / CHECKPOINTS
    assert torch.load(newest_readable_checkpoint(checkpoints), weights_only=True)["step"] == INTERRUPTED_AT

    broken = f"step-{INTERRUPTED_AT + 9:09d}"
    (checkpoints / f"{broken}.ckpt").write_bytes(b"broken off")  # the older one is whole
    for name in (f".{broken}.partial.ckpt", f".{broken}.ckpt.lock"):
        (checkpoints / name).touch()  # a killed process leaves these
    trainer = trainer_for(ball_person, tmp_path, checkpoints)
    assert trainer._start_step == INTERRUPTED_AT + 1
    trainer.train()
    assert [path.name for path in checkpoints.iterdir()] == [f"step-{STEPS - 1:09d}.ckpt"]
    whole, resumed = (
        torch.load(newest_readable_checkpoint(path), weights_only=True) for path in (undisturbed, checkpoints)
    )
    assert whole["step"] == resumed["step"] == STEPS - 1
    mine, theirs = tensors(resumed), tensors(whole)
    assert mine.keys() == theirs.keys() and len(mine) > 40
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []


def test_an_interrupt_in_the_last_step_leaves_a_complete_run(
    undisturbed: Path, ball_person: Path, tmp_path: Path
) -> None:
    trainer = trainer_for(ball_person, tmp_path)
    interrupt_at(trainer, STEPS - 1)
    with pytest.raises(SystemExit):
        trainer.train()
    folders = tmp_path / CHECKPOINTS, undisturbed
    mine, theirs = (tensors(torch.load(newest_readable_checkpoint(folder), weights_only=True)) for folder in folders)
    assert [name for name in theirs if not torch.equal(mine[name], theirs[name])] == []


def test_a_complete_run_is_not_trained_on(
    undisturbed: Path, ball_person: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = trainer_for(ball_person, tmp_path, undisturbed)
    trainer.train()
    assert f"the run is complete: it has {STEPS} steps" in " ".join(capsys.readouterr().out.split())
