"""What processes that train one model together tell each other; a single process has nothing to wait for."""

from __future__ import annotations

import torch
import torch.distributed as dist
from nerfstudio.utils import comms
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


def keep_largest(values: Tensor) -> None:
    """Replaces each value by the largest that any process has in its place."""
    if comms.get_world_size() > 1:
        dist.all_reduce(values, dist.ReduceOp.MAX)


def add_up(values: Tensor) -> None:
    """Replaces each value by the sum over all processes."""
    if comms.get_world_size() > 1:
        dist.all_reduce(values)


def largest(value: float) -> float:
    """The largest value that any process has."""
    if comms.get_world_size() == 1:
        return value
    device = f"cuda:{comms.get_local_rank()}" if dist.get_backend() == dist.Backend.NCCL else "cpu"
    shared = torch.tensor(value, dtype=torch.float64, device=device)
    keep_largest(shared)
    return float(shared)


def with_shared_gradients(model: nn.Module, device: torch.device, local_rank: int) -> nn.Module:
    """A model whose gradients are the mean over all processes after each backward pass.

    nerfstudio's own wrapper needs GPUs, and would replace what each process has learned about empty space by what the
    first one has.
    """
    devices = [local_rank] if device.type == "cuda" else None
    return DistributedDataParallel(model, device_ids=devices, find_unused_parameters=True, broadcast_buffers=False)
