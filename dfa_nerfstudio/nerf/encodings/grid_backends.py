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

from dfa_nerfstudio.errors import brief
from dfa_nerfstudio.nerf.encodings import torch_grid
from dfa_nerfstudio.nerf.encodings.grid_layout import GridLayout
from dfa_nerfstudio.nerf.log_once import log_once

GridBackend = Literal["auto", "tcnn", "triton", "torch"]
_GPU_BACKENDS: tuple[Literal["triton", "tcnn"], ...] = ("triton", "tcnn")
"""Backends that need a CUDA device, fastest first."""
CHECKED_POINTS = 300
"""Number of points at which Triton's kernels are compared with the reference: more than two programs."""
MAX_ERROR = 1e-3
"""Largest difference, relative to the largest value, that rounding explains: kernels add in another order."""
Encode = Callable[[Tensor, Tensor, GridLayout], Tensor]
"""Signature of `torch_grid.encode`."""


def grid_encoder(requested: GridBackend, device: torch.device, layout: GridLayout) -> Encode:
    """Returns the function that looks up grid features of a layout on a device.

    A requested backend that is unavailable, or whose numbers are wrong, is replaced by `torch`, because all backends
    give the same numbers: a checkpoint trained on a GPU opens on a laptop.
    """
    name, reason = _choose(requested, device.type)
    if name == "triton" and (failure := triton_failure(layout, device)) is not None:
        name, reason = "torch", failure
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


@lru_cache
def triton_failure(layout: GridLayout, device: torch.device) -> str | None:
    """Why Triton's kernels must not be used; None if their values and gradients at some points are the reference's.

    They are compiled for the GPU, driver and Triton version of the user, with which nobody may have tried them.
    """
    generator = torch.Generator().manual_seed(0)
    margin = 0.5 / (layout.min_resolution - 1)  # of the first and last vertex; see `FeatureGrid`
    points = torch.rand(2, CHECKED_POINTS, layout.dims, generator=generator) * (1 - 2 * margin) + margin
    table = torch.randn(2, layout.entries, layout.features_per_level, generator=generator)
    direction = torch.randn(CHECKED_POINTS, 2 * layout.out_dim, generator=generator).to(device)

    def values_and_gradients(encode: Encode) -> list[Tensor]:
        places, rows = (values.to(device).requires_grad_() for values in (points, table))
        with torch.enable_grad(), torch.autocast(device.type, enabled=False):
            out = encode(places, rows, layout)
        return [out.detach(), *torch.autograd.grad(out, (places, rows), direction)]

    try:
        from dfa_nerfstudio.nerf.encodings import triton_grid

        found = values_and_gradients(triton_grid.encode)
    except Exception as error:  # of the compiler, the driver, or Triton
        return f"the Triton kernel does not run here: {brief(error)}"
    expected = values_and_gradients(torch_grid.encode)
    for name, one, other in zip(("values", "gradients", "gradients"), found, expected, strict=True):
        error = float((one - other).abs().max() / other.abs().max())
        if not error < MAX_ERROR:
            return f"the Triton kernel's {name} differ by {error:.1g} of the largest"
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
