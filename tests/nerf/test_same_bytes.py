"""The same seed on the same machine gives the same field, to the byte."""

from __future__ import annotations

from pathlib import Path

import torch

from dfa_nerfstudio.nerf.checkpoint_check import newest_readable_checkpoint
from tests.nerf.test_model import _trainer
from tests.nerf.test_resume import CHECKPOINTS, tensors


def trained(data: Path, output: Path, seed: int) -> dict[str, bytes]:
    """Everything in the checkpoint of a short training."""
    torch.manual_seed(seed)
    _trainer("dfa-nerf-lite", data, output, steps=6, rays=256).train()
    path = newest_readable_checkpoint(output / CHECKPOINTS)
    state = tensors(torch.load(path, weights_only=True))
    return {name: values.numpy().tobytes() for name, values in state.items()}


def test_the_same_seed_gives_the_same_field(ball_person: Path, tmp_path: Path) -> None:
    first, again, other = (trained(ball_person, tmp_path / str(run), seed) for run, seed in enumerate((3, 3, 4)))
    assert first == again and len(first) > 40
    assert first != other
