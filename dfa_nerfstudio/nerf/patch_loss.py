"""Patches around lips and eyes, late in training, compared by their structure instead of pixel by pixel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from dfa_nerfstudio.metrics.lpips import Lpips


@dataclass
class PatchLossConfig:
    """What is compared, and from when on."""

    structure: float = 0.0
    """Weight of 1 - SSIM."""
    lpips_weights: Path | None = None
    """AlexNet's weights as torchvision publishes them (alexnet-owt-7be5be79.pth): patches are then compared by LPIPS
    too."""
    perceptual: float = 0.01
    """Weight of LPIPS, where its weights are at hand."""
    start: float = 0.5
    """Share of the training after which patches are drawn."""
    count: int = 1
    """Patches per step, half of them around the mouth and half around the eyes."""
    size: int = 24
    """Pixels along a side."""


class PatchLoss:
    """SSIM and LPIPS of patches.

    Raises:
        UserError: if there are no weights of LPIPS in the file.
    """

    def __init__(self, config: PatchLossConfig) -> None:
        self.config = config
        # Not a module: the weights of LPIPS have no business in checkpoints.
        self._lpips = Lpips(config.lpips_weights) if config.lpips_weights and config.perceptual else None

    def patches(self, progress: float) -> tuple[int, int]:
        """How many are wanted, and their size.

        Args:
            progress: share of the training that is done.
        """
        wanted = (self.config.structure or self._lpips) and progress >= self.config.start
        return (self.config.count if wanted else 0), self.config.size

    def __call__(
        self, picture: Float[Tensor, "B size size 3"], truth: Float[Tensor, "B size size 3"]
    ) -> Float[Tensor, ""]:
        mine, theirs = picture.float().permute(0, 3, 1, 2), truth.permute(0, 3, 1, 2)
        loss = mine.new_zeros(())
        if self.config.structure:
            similarity = structural_similarity_index_measure(mine, theirs, data_range=1.0)
            assert isinstance(similarity, Tensor)
            loss = loss + self.config.structure * (1 - similarity)
        if self._lpips is not None:
            loss = loss + self.config.perceptual * self._lpips.to(mine.device)(mine, theirs).mean()
        return loss
