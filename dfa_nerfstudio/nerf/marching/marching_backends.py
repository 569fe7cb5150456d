"""Which program places and weighs samples: chosen by what is there, said in one line."""

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

from dfa_nerfstudio.nerf.log_once import say_once
from dfa_nerfstudio.nerf.marching import torch_sampler

Marcher = Literal["auto", "nerfacc", "torch"]
Place = Callable[..., tuple[Tensor, Tensor]]
Weigh = Callable[[Tensor, Tensor, int], Tensor]


def marching(wanted: Marcher, device: torch.device) -> tuple[Place, Weigh]:
    """`place` and `weigh` on a device.

    nerfacc compiles its CUDA functions at their first use, which takes minutes and a CUDA toolkit: `auto` takes them
    where that is done, `nerfacc` does it. What is wanted and not to be had is replaced: the samples are the same.
    """
    why = _why_not(wanted, device.type)
    say_once(f"rays are marched by {'torch' if why else 'nerfacc'} ({why or 'its CUDA functions are there'})")
    if why:
        return torch_sampler.place, torch_sampler.weigh
    from dfa_nerfstudio.nerf.marching import nerfacc_sampler

    return nerfacc_sampler.place, nerfacc_sampler.weigh


@lru_cache
def _why_not(wanted: Marcher, device: str) -> str | None:
    """Why nerfacc is not taken; None if it is."""
    if wanted == "torch":
        return "as asked for"
    if device != "cuda":
        return "no CUDA device" if wanted == "auto" else "nerfacc needs a CUDA device"
    if wanted == "auto" and not _compiled():
        return "nerfacc's CUDA functions have not been compiled"
    try:
        # importing it is what loads or compiles them
        there = importlib.import_module("nerfacc.cuda._backend")._C is not None
    except Exception as error:  # a compiler that is missing, too old or too new says so in many ways
        return f"nerfacc's CUDA functions do not load: {str(error).splitlines()[0]}"
    return None if there else "nerfacc's CUDA functions need a CUDA toolkit to be compiled"


def _compiled() -> bool:
    """Whether nerfacc came with its CUDA functions, or has compiled them before."""
    if importlib.util.find_spec("nerfacc.csrc") is not None:
        return True
    return any(Path(_get_build_directory("nerfacc_cuda", verbose=False)).glob("nerfacc_cuda*.so"))
