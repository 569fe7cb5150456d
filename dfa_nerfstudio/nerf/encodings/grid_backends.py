"""Which program reads the grids: chosen by what is installed, said in one line."""

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
from dfa_nerfstudio.nerf.log_once import say_once

Backend = Literal["auto", "tcnn", "triton", "torch"]
_ON_A_GPU: tuple[Literal["triton", "tcnn"], ...] = ("triton", "tcnn")
"""The fastest first."""
Encode = Callable[[Tensor, Tensor, GridLayout], Tensor]


def encoder(wanted: Backend, device: torch.device) -> Encode:
    """The function that reads grids on a device.

    One that is wanted and not to be had is replaced, for all of them give the same numbers: a run trained on a GPU
    opens on a laptop.
    """
    name, why = _choose(wanted, device.type)
    say_once(f"grids are read by {name} ({why})")
    if name == "torch":
        return torch_grid.encode
    if name == "tcnn":
        from dfa_nerfstudio.nerf.encodings import tcnn_grid

        return tcnn_grid.encode
    from dfa_nerfstudio.nerf.encodings import triton_grid

    return triton_grid.encode


def available(device: torch.device) -> list[Backend]:
    """The backends that are to be had on a device, the fastest first."""
    return [name for name in (*_ON_A_GPU, "torch") if _choose(name, device.type)[0] == name]


@lru_cache
def _choose(wanted: Backend, device: str) -> tuple[Literal["tcnn", "triton", "torch"], str]:
    """Name of the backend, and why it is this one."""
    if wanted == "torch":
        return "torch", "as asked for"
    if device != "cuda":
        return "torch", "no CUDA device" if wanted == "auto" else f"{wanted} needs a CUDA device"
    missing = []
    for name in _ON_A_GPU if wanted == "auto" else (wanted,):
        why = why_no_triton() if name == "triton" else _why_no_tcnn()
        if why is None:
            return name, "; ".join(missing) or ("as asked for" if wanted == name else "installed")
        missing.append(why)
    return "torch", "; ".join(missing)


@lru_cache
def why_no_triton() -> str | None:
    """Why there is no Triton; None if there is."""
    if not _is_there("triton"):
        return "Triton is not installed"
    if "CC" not in os.environ and not any(map(shutil.which, ("gcc", "clang"))):
        return "there is no C compiler for Triton to compile its launcher"
    return None


def _why_no_tcnn() -> str | None:
    if not _is_there("tinycudann"):
        return "tiny-cuda-nn is not installed"
    try:
        importlib.import_module("tinycudann")
    except (ImportError, OSError) as error:  # built for another GPU or another torch
        return f"tiny-cuda-nn does not load ({str(error).splitlines()[0]})"
    return None


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
