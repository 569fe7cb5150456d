"""Two processes that train one model together."""

from __future__ import annotations

import socket
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from nerfstudio.utils import comms

from dfa_nerfstudio.nerf.checkpoint_check import newest_readable_checkpoint
from dfa_nerfstudio.nerf.trainer import TalkingHeadTrainer
from tests.nerf.test_model import _trainer
from tests.nerf.test_resume import CHECKPOINTS, tensors

SECONDS, MORE_STEPS = 6.0, 20
WEIGHTS_SEEN = "/occupancy.max_weight"
"""Which each process records for itself until the next update of the occupancy grid."""


def _train(rank: int, port: int, data: Path, output: Path) -> None:
    """Trains as in nerfstudio's launcher, but without its demand of a GPU; then trains on from the checkpoint."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", world_size=2, rank=rank)
    comms.LOCAL_PROCESS_GROUP = dist.new_group([0, 1])
    states, pixels = [], []
    for resumes in (False, True):
        torch.manual_seed(42 + rank)
        trainer = _trainer("dfa-nerf-lite", data, output, 100_000, rays=256, rank=rank, world_size=2)
        assert isinstance(trainer, TalkingHeadTrainer)
        schedule = trainer.pipeline.schedule
        if resumes:
            trainer.config.load_checkpoint = newest_readable_checkpoint(output / CHECKPOINTS)
            trainer._load_checkpoint()
            trainer.config.max_num_iterations, schedule.config.max_seconds = trainer._start_step + MORE_STEPS, None
        else:
            schedule.config.max_seconds = SECONDS + rank  # clocks differ; the first one that ends decides
        trainer.train()
        comms.synchronize()
        states.append({"step": trainer._last_step, **tensors(trainer.pipeline.model.state_dict())})
        pixels.append(trainer.pipeline.datamanager.ray_buffer.state()["pixels"]["row"])
    torch.save((states, pixels), output / f"rank{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_train_one_model(ball_person: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(_train, (port, ball_person, tmp_path), nprocs=2)
    (first, first_pixels), (second, second_pixels) = (torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2))
    for ours, theirs in zip(first, second, strict=True):  # by the clock, and after resuming
        assert ours.pop("step") == theirs.pop("step") > 30
        differ = [name for name, values in ours.items() if not torch.equal(values, theirs[name])]
        assert ours.keys() == theirs.keys() and set(differ) <= {WEIGHTS_SEEN}
    assert not any(torch.equal(*both) for both in zip(first_pixels, second_pixels, strict=True))
    checkpoints = list((tmp_path / CHECKPOINTS).iterdir())
    assert checkpoints == [newest_readable_checkpoint(tmp_path / CHECKPOINTS)]
    alone = _trainer("dfa-nerf-lite", ball_person, tmp_path / "alone", 1, rays=256)
    alone.config.load_checkpoint = checkpoints[0]
    alone._load_checkpoint()
    for name, values in tensors(alone.pipeline.model.state_dict()).items():
        assert torch.equal(values, first[1][name]), name
