"""The paper's motion model and its variants of Table 4, as a `MotionModel`."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.motion_config import MotionConfig
from dfa_nerfstudio.attributes.motion_source import generate_track
from dfa_nerfstudio.attributes.pose_prior import PosePrior
from dfa_nerfstudio.attributes.pretrained_models import PretrainedModels
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.evaluation.systems.motion.motion_model import MotionModel, blend


class GPVAEMotion(MotionModel):
    """E_ah and the decoder D of a motion VAE (section 3.4).

    Of a person, predictions start from a likely pose near the last one, as in generation (`PosePrior.project`).
    """

    varies = True

    def __init__(self, models: PretrainedModels) -> None:
        super().__init__()
        self.models = models
        own = isinstance(models, AttributeModels)
        self.pose_prior = PosePrior.from_motion(models.training_motion) if own else None
        self.window, self.bop = models.config.cross_modal.window, models.config.cross_modal.bop

    @torch.no_grad()
    def generate(
        self, audio: Float[Tensor, "N T A"], start: Float[Tensor, "N tau C"], generator: Generator | None = None
    ) -> Float[Tensor, "N T C"]:
        bop = self.pose_prior.project(start) if self.pose_prior else start
        latent = self.models.cross_modal(audio, bop, self.models.vae)
        z = latent.mean if generator is None else latent.sample(generator=generator)
        return blend(self.models.vae.decode(z), start)

    def generate_track(self, models: AttributeModels, audio: Float[Tensor, "T A"], seed: int) -> AttributeTrack:
        """Generates the track as `dfa-talk` does: with selection of likely poses and the person's own blinks."""
        assert isinstance(self.models, AttributeModels)
        return generate_track(self.models, audio, MotionConfig(seed=seed))
