"""Files of a newer version of this program are refused as such."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.pretrained_models import ModelsConfig, PretrainedModels
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.dataset_folder import TRACK, TRANSFORMS, DatasetFolder
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.evaluation.evaluate import Evaluation
from dfa_nerfstudio.evaluation.report import evaluation_io
from dfa_nerfstudio.evaluation.sync.sync_encoders import ENCODERS, SyncEncoders
from dfa_nerfstudio.media.npz import load_npz
from dfa_nerfstudio.nerf.checkpoint_check import check_checkpoint

NEWER = r": made by a newer version of this program \(format \d+, this one reads \d+\); install it with: pip install"


def refused(load: Callable[[Path], Any], path: Path) -> None:
    with pytest.raises(UserError, match=NEWER) as error:
        load(path)
    assert "\n" not in str(error.value) and path.name in str(error.value)


def test_a_newer_dataset_folder_and_track(ball_person: Path, tmp_path: Path) -> None:
    person = Path(shutil.copytree(ball_person, tmp_path / "person"))
    arrays = load_npz(person / TRACK)
    assert arrays["version"] == 1
    np.savez(person / TRACK, **arrays | {"version": np.int64(2)})
    refused(lambda _: AttributeTrack.load(person / TRACK), person / TRACK)
    del arrays["version"]  # a track of before this program wrote versions
    np.savez(person / TRACK, **arrays)
    assert len(AttributeTrack.load(person / TRACK)) == 48
    content = json.loads((person / TRANSFORMS).read_text())
    (person / TRANSFORMS).write_text(json.dumps(content | {"dfa_format_version": content["dfa_format_version"] + 1}))
    refused(lambda _: DatasetFolder.open(person), person / TRANSFORMS)


def test_newer_weights(tmp_path: Path) -> None:
    path = tmp_path / "models.pt"
    AttributeModels(ModelsConfig(), 13, 0, 10).save(path)
    newer_weights(path, AttributeModels.load)
    PretrainedModels(ModelsConfig(), 13, 0).save(path)
    newer_weights(path, PretrainedModels.load)
    shutil.copy(ENCODERS, path)
    newer_weights(path, SyncEncoders.load)


def newer_weights(path: Path, load: Callable[[Path], Any]) -> None:
    load(path)
    content = torch.load(path, weights_only=True)
    torch.save(content | {"version": content["version"] + 1}, path)
    refused(load, path)


def test_a_newer_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "step-000000001.ckpt"
    state = {"step": 1, "pipeline": {"_extra_state": {"version": 1}}, "optimizers": {}, "scalers": {}}
    torch.save(state, path)
    check_checkpoint(path)
    state["pipeline"] = {"_extra_state": {"version": 2}}
    torch.save(state, path)
    refused(check_checkpoint, path)


def test_a_newer_report(tmp_path: Path) -> None:
    path = tmp_path / evaluation_io.REPORT
    evaluation_io.save(Evaluation("a", "s", 3, 3, (8, 8)), path)
    evaluation_io.load(path)
    path.write_text(path.read_text().replace("evaluation 1", "evaluation 2"))
    refused(evaluation_io.load, path)
