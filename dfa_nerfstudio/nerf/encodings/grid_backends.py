"""Chooses the implementation that looks up grid features, by what is installed, and logs the choice."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from dfa_nerfstudio.nerf.encodings import torch_grid
from dfa_nerfstudio.nerf.encodings.grid_layout import GridLayout
from dfa_nerfstudio.nerf.log_once import log_once

GridBackend = Literal["auto", "tcnn", "triton", "torch"]
_GPU_BACKENDS: tuple[Literal["triton", "tcnn"], ...] = ("triton", "tcnn")
"""Backends that need a CUDA device, fastest first."""
Encode = Callable[[Tensor, Tensor, GridLayout], Tensor]
"""Signature of `torch_grid.encode`."""


def grid_encoder(requested: GridBackend, device: torch.device) -> Encode:
    """Returns the function that looks up grid features on a device.

    A requested backend that is unavailable is replaced by `torch`, because all backends give the same numbers: a
    checkpoint trained on a GPU opens on a laptop.
    """
    name, reason = _choose(requested, device.type)
    log_once(f"grid backend: {name} ({reason})")
    if name == "torch":
        return torch_grid.encode
    if name == "tcnn":
        from dfa_nerfstudio.nerf.encodings import tcnn_grid

        return tcnn_grid.encode
    from dfa_nerfstudio.nerf.encodings import triton_grid

    return triton_grid.encode


def available_backends(device: torch.device) -> list[GridBackend]:
    """Backends that are available on a device, fastest first."""
    return [name for name in (*_GPU_BACKENDS, "torch") if _choose(name, device.type)[0] == name]


@lru_cache
def _choose(requested: GridBackend, device: str) -> tuple[Literal["tcnn", "triton", "torch"], str]:
    """Name of the chosen backend and the reason for the choice."""
    if requested == "torch":
        return "torch", "requested"
    if device != "cuda":
        return "torch", "no CUDA device" if requested == "auto" else f"{requested} needs a CUDA device"
    reasons = []
    for name in _GPU_BACKENDS if requested == "auto" else (requested,):
        reason = triton_unavailable_reason() if name == "triton" else _tcnn_unavailable_reason()
        if reason is None:
            return name, "; ".join(reasons) or ("requested" if requested == name else "installed")
        reasons.append(reason)
    return "torch", "; ".join(reasons)


@lru_cache
def triton_unavailable_reason() -> str | None:
    """Why Triton is unavailable; None if it is available."""
    if not _is_installed("triton"):
        return "Triton is not installed"
    if "CC" not in os.environ and not any(map(shutil.which, ("gcc", "clang"))):
        return "Triton needs a C compiler for its launcher"
    return None


def _tcnn_unavailable_reason() -> str | None:
    if not _is_installed("tinycudann"):
        return "tiny-cuda-nn is not installed"
    try:
        importlib.import_module("tinycudann")
    except (ImportError, OSError) as error:  # built for another GPU or another torch version
        return f"tiny-cuda-nn does not load ({str(error).splitlines()[0]})"
    return None


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
