"""Compares a kernel's picture with that of marching before the kernel is used."""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch

from dfa_nerfstudio.errors import brief
from dfa_nerfstudio.nerf.coordinate_frames import Rays
from dfa_nerfstudio.nerf.log_once import log_once
from dfa_nerfstudio.nerf.marching.ray_marching import RenderOutput

CHECKED_RAYS = 1024
"""Number of rays, spread over the picture, that are rendered both ways."""
MAX_ERROR = 0.02
"""Largest difference of a colour or opacity, 0 to 1, that rounding explains: layers have half precision. One ray in a
hundred may differ by more, because a sample on the border of an occupied cell may fall to either side."""


class KernelCheck:
    """Compares a kernel's first picture with that of marching.

    A kernel is compiled for the processor, driver and compiler of the user, with which nobody may have tried it.
    """

    def __init__(self) -> None:
        self.failure: str | None = None
        """Why the kernel is not used; None before the check, and where it agrees."""
        self._done, self._lock = False, threading.Lock()

    def agrees(self, rays: Rays, kernel: Callable[[Rays], RenderOutput], march: Callable[[Rays], RenderOutput]) -> bool:
        """Whether the kernel may be used; the first call finds out.

        Args:
            rays: rays of one frame.
            kernel: renders rays by the kernel.
            march: renders rays by marching.
        """
        with self._lock:  # frames are rendered in several threads
            if not self._done:
                self.failure, self._done = self._compare(rays, kernel, march), True
                chosen = f"ray marching ({self.failure})" if self.failure else "compiled (it agrees with ray marching)"
                log_once(f"image renderer: {chosen}")
        return self.failure is None

    @staticmethod
    def _compare(
        rays: Rays, kernel: Callable[[Rays], RenderOutput], march: Callable[[Rays], RenderOutput]
    ) -> str | None:
        chosen = torch.linspace(0, len(rays.frame) - 1, min(CHECKED_RAYS, len(rays.frame)), device=rays.frame.device)
        few = rays[chosen.long()]
        try:
            compiled = kernel(few)
            if rays.frame.is_cuda:
                torch.cuda.synchronize()  # errors of a kernel arrive later than its call returns
        except Exception as error:  # of the compiler, the driver, or Triton
            return f"the compiled renderer does not run here: {brief(error)}"
        marched = march(few)
        found, expected = (torch.cat([one.rgb, one.accumulation[:, None]], -1) for one in (compiled, marched))
        error = (found - expected).abs().amax(-1).nan_to_num(nan=1.0)
        if error.quantile(0.99) > MAX_ERROR:
            return f"the compiled renderer's colours differ by up to {float(error.max()):.2g}"
        return None
