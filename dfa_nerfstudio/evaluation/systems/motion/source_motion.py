"""Motion that does not depend on the audio: that of the source video (Wav2Lip [34]), or none (ATVG [9])."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.motion_config import SOURCE, STILL, MotionConfig
from dfa_nerfstudio.attributes.motion_source import generate_track
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.evaluation.systems.motion.motion_model import MotionModel, blend


class SourceMotion(MotionModel):
    """Head motion and blinks of the training frames, played forwards and backwards in turn (K. R. Prajwal et al., "A
    lip sync expert is all you need for speech to lip generation in the wild", 2020, changes lips alone)."""

    motion: Tensor
    """Motion h of the training frames [T, C]."""

    def __init__(self, models: AttributeModels, source: AttributeTrack) -> None:
        """
        Args:
            models: the person's attribute models.
            source: the training part of the person's track.
        """
        super().__init__()
        self.source = source
        self.register_buffer("motion", models.training_motion)

    def generate(
        self, audio: Float[Tensor, "N T A"], start: Float[Tensor, "N tau C"], generator: Generator | None = None
    ) -> Float[Tensor, "N T C"]:
        length = audio.shape[1]
        there_and_back = torch.cat([self.motion, self.motion.flip(0)])
        frames = torch.arange(length) % len(there_and_back)
        return blend(there_and_back[frames].expand(len(audio), -1, -1), start)

    def generate_track(self, models: AttributeModels, audio: Float[Tensor, "T A"], seed: int) -> AttributeTrack:
        return generate_track(models, audio, MotionConfig(pose=SOURCE), self.source)


class StillMotion(SourceMotion):
    """A still head with open eyes: one source image is animated (L. Chen et al., "Hierarchical cross-modal talking face
    generation with dynamic pixel-wise loss", 2019). As a prediction it holds the last pose: the trivial baseline."""

    def generate(
        self, audio: Float[Tensor, "N T A"], start: Float[Tensor, "N tau C"], generator: Generator | None = None
    ) -> Float[Tensor, "N T C"]:
        return torch.cat([start, start[:, -1:].expand(-1, audio.shape[1] - start.shape[1], -1)], 1)

    def generate_track(self, models: AttributeModels, audio: Float[Tensor, "T A"], seed: int) -> AttributeTrack:
        return generate_track(models, audio, MotionConfig(pose=STILL, blink="none"), self.source)
