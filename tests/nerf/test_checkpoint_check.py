"""Checkpoints are data: nothing in them is executed, and what does not fit is named."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.nerf.checkpoint_check import check_checkpoint, newest_readable_checkpoint
from tests.nerf.test_resume import trainer_for


class Harmful:
    """Makes a folder when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


def write(path: Path, **changes: object) -> Path:
    torch.save({"step": 1, "pipeline": {}, "optimizers": {}, "scalers": {}} | changes, path)
    return path


@pytest.mark.parametrize("as_pickle", [False, True], ids=["in a checkpoint", "bare"])
def test_a_pickle_is_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_pickle: bool) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "step-000000001.ckpt"
    if as_pickle:
        path.write_bytes(pickle.dumps(Harmful()))
    else:
        write(path, pipeline={"_model.weight": Harmful()})
    for read in (check_checkpoint, lambda path: newest_readable_checkpoint(path.parent)):
        with pytest.raises(UserError, match=r"step-000000001\.ckpt: unreadable checkpoint"):
            read(path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_named(tmp_path: Path, bad: float) -> None:
    path, values = tmp_path / "step-000000001.ckpt", torch.tensor([0.0, bad])
    check_checkpoint(write(path, pipeline={"_model.weight": torch.zeros(2)}))
    for state, name in (
        ({"pipeline": {"_model.network.bias": values}}, "pipeline._model.network.bias"),
        ({"optimizers": {"planes": {"state": {0: {"exp_avg": values}}}}}, "optimizers.planes.state.0.exp_avg"),
    ):
        with pytest.raises(UserError, match=rf"step-000000001\.ckpt: {name} holds numbers that are not finite"):
            check_checkpoint(write(path, **state))


@pytest.mark.parametrize("option", ["load_dir", "load_step", "load_checkpoint"])
def test_ns_train_refuses_it_in_one_line(
    ball_person: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    trainer = trainer_for(ball_person, tmp_path / "run")
    path = write(tmp_path / "step-000000001.ckpt", pipeline={"_model.weight": torch.tensor(torch.nan)})
    if option == "load_checkpoint":
        trainer.config.load_checkpoint = path
    else:
        trainer.config.load_dir, trainer.config.load_step = tmp_path, 1 if option == "load_step" else None
    with pytest.raises(SystemExit) as stop:
        trainer._load_checkpoint()
    assert stop.value.code == 2
    assert "error: " in (line := capsys.readouterr().err.strip()) and "_model.weight" in line and "\n" not in line
