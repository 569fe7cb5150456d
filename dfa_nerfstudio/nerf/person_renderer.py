"""Renders the person along rays: by a compiled kernel or by torch, by one sample for most pixels or by marching."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dfa_nerfstudio.nerf.conditioned_field import ConditionedField, FieldOutput
from dfa_nerfstudio.nerf.conditions import Conditions
from dfa_nerfstudio.nerf.coordinate_frames import Rays, SceneBounds
from dfa_nerfstudio.nerf.kernels import numba_field, numba_marcher, numba_renderer, triton_renderer
from dfa_nerfstudio.nerf.kernels.kernel_check import KernelCheck
from dfa_nerfstudio.nerf.log_once import log_once
from dfa_nerfstudio.nerf.marching import OccupancyGrid, RenderOutput, march
from dfa_nerfstudio.nerf.marching.depth_guided import one_sample, render_depth_guided

if TYPE_CHECKING:
    from dfa_nerfstudio.nerf.model import DFANerfModelConfig


class PersonRenderer:
    """Renders a field's colours, opacity, depth and gates along rays, without the background."""

    def __init__(self, config: DFANerfModelConfig, network: nn.Module, occupancy: OccupancyGrid | None) -> None:
        """
        Args:
            config: the model's options of rendering.
            network: the field; its mode, training or evaluation, is the renderer's.
            occupancy: cells that may contain the person; None queries the field everywhere.
        """
        self.config, self.network, self.occupancy = config, network, occupancy
        self.kernel_check = KernelCheck()
        self._training_failure: str | None = None
        """Why compiled functions do not march in training; empty if they do, None before the check."""

    def precision(self, device: torch.device) -> torch.autocast:
        """Half precision for the networks: in training where the trainer enables it, in rendering always on a GPU.

        Everything else, grids included, is computed in single precision.
        """
        half = torch.is_autocast_enabled(device.type) or (device.type == "cuda" and not self.network.training)
        return torch.autocast(device.type, torch.get_autocast_dtype(device.type), enabled=half)

    def may_use_kernel(self, num_frames: int, device: torch.device) -> bool:
        """Whether a compiled renderer may render rays of `num_frames` frames."""
        if self.network.training or not self.config.fused_rendering or num_frames > 1:
            return False
        reason = triton_renderer.unavailable_reason(self.network, device)
        if reason is not None and device.type == "cpu":
            reason = numba_field.unavailable_reason(self.network)
        if reason is not None:
            log_once(f"image renderer: ray marching ({reason})")
        return reason is None and self.kernel_check.failure is None

    def trains_compiled(self, device: torch.device) -> bool:
        """Whether the functions that numba compiles march in training."""
        if not self.config.compiled_training or device.type != "cpu":
            return False
        if self._training_failure is None:
            self._training_failure = reason = numba_marcher.failure(self.network) or ""
            log_once(f"training: plain torch ({reason})" if reason else "training: compiled (it agrees with torch)")
        return not self._training_failure

    def render(
        self,
        rays: Rays,
        scene: SceneBounds,
        conditions: Conditions,
        precision: torch.autocast,
        size: tuple[int, int] | None = None,
    ) -> RenderOutput:
        """Renders R rays.

        Args:
            rays: R rays, each of one of U frames.
            scene: the rendered volume.
            conditions: conditions of the U frames.
            precision: of the networks.
            size: height and width, if the rays are those of an image.
        """
        config, training = self.config, self.network.training
        if training and self.trains_compiled(rays.frame.device):
            field = cast(ConditionedField, self.network)
            return numba_marcher.march(field, scene, rays, conditions, config.num_samples, self.occupancy)

        def query(rays: Rays, ray: Int[Tensor, " S"], distance: Float[Tensor, " S"]) -> FieldOutput:
            head, torso = rays.in_head_space(ray, distance), rays.in_torso_space(ray, distance, scene)
            with precision:
                return self.network(head, torso, rays.frame.index_select(0, ray), conditions)

        def march_rays(rays: Rays) -> RenderOutput:
            return march(
                rays.head_origins,
                rays.head_directions,
                config.num_samples,
                self.occupancy,
                lambda ray, distance: query(rays, ray, distance),
                training=training,
                slabs=1 if training else config.render_slabs,
                backend=config.marcher,
            )

        renderer, sampler = march_rays, partial(one_sample, field=query)
        if self.may_use_kernel(len(conditions.mouth), rays.frame.device):
            parts = cast(ConditionedField, self.network), scene, conditions, config.num_samples, self.occupancy
            if triton_renderer.unavailable_reason(self.network, rays.frame.device) is None:
                kernel = partial(triton_renderer.render, *parts)
                if self.kernel_check.agrees(rays, kernel, march_rays):
                    return kernel(rays)
            else:
                build = partial(numba_renderer.NumbaRenderer, *parts)
                if self.kernel_check.agrees(rays, lambda rays: build().march(rays), march_rays):
                    compiled = build()
                    renderer, sampler = compiled.march, compiled.one_sample
        if size is not None and config.render_fraction > 1:
            return render_depth_guided(rays, size, config.render_fraction, config.render_tolerance, renderer, sampler)
        return renderer(rays)
