"""Chooses the implementation that samples rays and computes weights, by what is installed, and logs the choice."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.utils.cpp_extension import _get_build_directory

from dfa_nerfstudio.nerf.log_once import log_once
from dfa_nerfstudio.nerf.marching import torch_sampler

MarchingBackend = Literal["auto", "nerfacc", "torch"]
SampleFunction = Callable[..., tuple[Tensor, Tensor]]
"""Signature of `torch_sampler.sample`."""
WeightFunction = Callable[[Tensor, Tensor, int], Tensor]
"""Signature of `torch_sampler.compute_weights`."""


def marching_functions(requested: MarchingBackend, device: torch.device) -> tuple[SampleFunction, WeightFunction]:
    """Returns `sample` and `compute_weights` of a backend on a device.

    nerfacc compiles its CUDA functions at their first use, which takes minutes and needs a CUDA toolkit: `auto` uses
    them only where they are compiled already, `nerfacc` compiles them. A requested backend that is unavailable is
    replaced by `torch`, because both give the same samples.
    """
    reason = _nerfacc_unavailable_reason(requested, device.type)
    log_once(f"ray marching backend: {'torch' if reason else 'nerfacc'} ({reason or 'its CUDA functions are loaded'})")
    if reason:
        return torch_sampler.sample, torch_sampler.compute_weights
    from dfa_nerfstudio.nerf.marching import nerfacc_sampler

    return nerfacc_sampler.sample, nerfacc_sampler.compute_weights


@lru_cache
def _nerfacc_unavailable_reason(requested: MarchingBackend, device: str) -> str | None:
    """Why nerfacc is not used; None if it is used."""
    if requested == "torch":
        return "requested"
    if device != "cuda":
        return "no CUDA device" if requested == "auto" else "nerfacc needs a CUDA device"
    if requested == "auto" and not _compiled():
        return "nerfacc's CUDA functions have not been compiled"
    try:
        # the import loads or compiles them
        loaded = importlib.import_module("nerfacc.cuda._backend")._C is not None
    except Exception as error:  # compilers that are missing, too old or too new raise various errors
        return f"nerfacc's CUDA functions do not load: {str(error).splitlines()[0]}"
    return None if loaded else "nerfacc's CUDA functions need a CUDA toolkit to be compiled"


def _compiled() -> bool:
    """Whether nerfacc was installed with its CUDA functions, or has compiled them before."""
    if importlib.util.find_spec("nerfacc.csrc") is not None:
        return True
    return any(Path(_get_build_directory("nerfacc_cuda", verbose=False)).glob("nerfacc_cuda*.so"))
