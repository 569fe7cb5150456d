"""Numbers that are not finite in training: harmless once, named where they do not go away."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.nerf import step_check
from tests.nerf.test_resume import trainer_for


def test_non_finite_numbers_in_training(ball_person: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = trainer_for(ball_person, tmp_path)
    pipeline = trainer.pipeline
    model, data = pipeline.model, pipeline.datamanager
    trainer.train_iteration(0)
    before = {name: values.clone() for name, values in model.named_parameters()}

    # the result of one step overflows: it is skipped, and leaves nothing behind
    render = type(model)._render
    monkeypatch.setattr(type(model), "_render", lambda *args: {k: v * torch.inf for k, v in render(*args).items()})
    trainer.train_iteration(1)
    monkeypatch.setattr(step_check, "MAX_IN_A_ROW", 3)
    trainer.train_iteration(2)
    with pytest.raises(UserError, match=r"the loss photometric.* was not finite in 3 steps in a row"):
        trainer.train_iteration(3)
    monkeypatch.setattr(type(model), "_render", render)
    assert pipeline.gradient_guard.num_skipped == 2
    assert all(torch.equal(values, before[name]) for name, values in model.named_parameters())
    data.ray_buffer._refill(64)  # after the errors of the rays before are taken over
    assert data.ray_buffer.state()["error_map"].isfinite().all() and model.occupancy.max_weight.isfinite().all()
    trainer.train_iteration(4)
    assert any(not torch.equal(values, before[name]) for name, values in model.named_parameters())

    # an array that it is computed from is not finite, and stays so
    weight = next(parameter for name, parameter in model.named_parameters() if name.startswith("network."))
    (name,) = (name for name, parameter in model.named_parameters() if parameter is weight)
    for values, expected in ((model.track.mouth, "track.mouth"), (weight.data, f"weights.{name}")):
        original = values.clone()
        values.fill_(torch.nan)
        with pytest.raises(UserError, match=rf"training: {expected} holds numbers that are not finite"):
            trainer.train_iteration(5)
        values.copy_(original)
    take = data.next_train

    def damaged(step: int):
        rays, batch = take(step)
        return rays, batch | {"image": batch["image"] * torch.nan}

    monkeypatch.setattr(data, "next_train", damaged)
    with pytest.raises(UserError, match=r"training: batch\.image holds numbers that are not finite"):
        trainer.train_iteration(6)
