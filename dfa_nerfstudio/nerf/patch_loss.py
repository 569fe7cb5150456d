"""Structural and perceptual losses on image patches around lips and eyes, late in training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from dfa_nerfstudio.metrics.lpips import Lpips


@dataclass
class PatchLossConfig:
    """Weights, number and size of the patches."""

    ssim: float = 0.0
    """Weight of 1 - SSIM."""
    lpips_weights: Path | None = None
    """File of AlexNet's weights as torchvision publishes them (alexnet-owt-7be5be79.pth); needed for LPIPS."""
    lpips: float = 0.01
    """Weight of LPIPS, where `lpips_weights` is given."""
    start: float = 0.5
    """Share of the training after which patches are drawn."""
    count: int = 1
    """Patches per step, half of them around the mouth and half around the eyes."""
    size: int = 24
    """Side of a patch in pixels."""


class PatchLoss:
    """Weighted sum of 1 - SSIM and LPIPS of image patches.

    Raises:
        UserError: if the file holds no LPIPS weights.
    """

    def __init__(self, config: PatchLossConfig) -> None:
        self.config = config
        # This is no module, so that checkpoints do not contain the weights of LPIPS.
        self._lpips = Lpips(config.lpips_weights) if config.lpips_weights and config.lpips else None

    def num_patches(self, progress: float) -> int:
        """Number of patches to draw in a step; 0 where no patch loss is enabled or training is too early.

        Args:
            progress: progress of the training, 0 to 1.
        """
        enabled = (self.config.ssim or self._lpips) and progress >= self.config.start
        return self.config.count if enabled else 0

    def __call__(
        self, rendered: Float[Tensor, "B size size 3"], truth: Float[Tensor, "B size size 3"]
    ) -> Float[Tensor, ""]:
        """Returns the loss of B patches."""
        rendered, truth = rendered.float().permute(0, 3, 1, 2), truth.permute(0, 3, 1, 2)
        loss = rendered.new_zeros(())
        if self.config.ssim:
            # torchmetrics imports much of torch, which takes seconds
            from torchmetrics.functional.image import structural_similarity_index_measure

            similarity = structural_similarity_index_measure(rendered, truth, data_range=1.0)
            assert isinstance(similarity, Tensor)
            loss = loss + self.config.ssim * (1 - similarity)
        if self._lpips is not None:
            loss = loss + self.config.lpips * self._lpips.to(rendered.device)(rendered, truth).mean()
        return loss
