"""What the latent space of motion is trained by: reconstruction and the divergence from the prior (Eqs. 6 and 8)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.attributes.gp_vae import TransformerGPVAE
from dfa_nerfstudio.attributes.motion_sequences import MotionSequences
from dfa_nerfstudio.attributes.objective import Objective
from dfa_nerfstudio.attributes.segments import random_windows


def sequence_error(
    made: Float[Tensor, "N T C"],
    true: Float[Tensor, "N T C"],
    speed: Float[Tensor, " C"],
    velocity_weight: float,
) -> Float[Tensor, ""]:
    """Mean square error of Eq. 6, plus that of the frame-to-frame change relative to its usual size.

    A tenth of a standard deviation is a small error of a pose, but as much as a head moves in a frame: unless the
    change is weighed too, what is decoded trembles.

    Args:
        made: decoded sequences.
        true: what they should be.
        speed: root mean square change of each channel.
        velocity_weight: of the second term.
    """
    change = ((made.diff(dim=1) - true.diff(dim=1)) / speed).square().mean()
    return (made - true).square().mean() + velocity_weight * change


def usual_speed(motion: Float[Tensor, "T C"], shot: Int[Tensor, " T"]) -> Float[Tensor, " C"]:
    """Root mean square frame-to-frame change of each channel, cuts apart; at least a tenth of the fastest one's."""
    speed = motion.diff(dim=0)[shot.diff() == 0].square().mean(0).sqrt()
    return speed.clamp(min=0.1 * float(speed.max()) + 1e-6)


class GPVAEObjective(Objective):
    """Eq. 6 plus the weighted KL of Eq. 8 on random windows of random length.

    The KL's weight rises linearly over the first 30 % of the steps, and each channel's KL is free up to `free_nats` a
    frame: both keep the posterior from collapsing onto the prior before the decoder has learnt to use it.
    """

    motion: Tensor
    shot: Tensor
    weight: Tensor
    speed: Tensor
    check: Tensor

    def __init__(self, model: TransformerGPVAE, learnt: MotionSequences, check: MotionSequences | None = None) -> None:
        super().__init__()
        self.model = model
        self.hold(motion=learnt.motion, shot=learnt.shot, weight=learnt.weight)
        self.hold(speed=usual_speed(learnt.motion, learnt.shot))
        self.hold(check=(check or learnt.part(slice(0))).windows(model.config.window, 8)[0])

    def training_loss(self, progress: float) -> dict[str, Tensor]:
        """Reconstruction and KL of a batch."""
        config = self.model.config
        longest = min(config.window, len(self.motion))
        length = int(torch.randint(max(2, longest // 2), longest + 1, ()))
        motion = self.motion[random_windows(config.batch_size, length, self.shot, self.weight)]
        motion = motion + config.level_noise * torch.randn_like(motion[:, :1])
        posterior = self.model.encode(motion)
        made = self.model.decode(posterior.sample())
        nats = posterior.kl_to_prior().mean(0) / length  # [Z]
        weight = config.kl_weight * min(1.0, progress / 0.3)
        return {
            "reconstruction": sequence_error(made, motion, self.speed, config.velocity_weight),
            "kl": weight * nats.clamp(min=config.free_nats).sum(),
        }

    @torch.no_grad()
    def validation_loss(self) -> Tensor | None:
        """Reconstruction from the posterior mean on validation frames."""
        if not len(self.check):
            return None
        return (self.model.decode(self.model.encode(self.check).mean) - self.check).square().mean()


@torch.no_grad()
def channel_nats(model: TransformerGPVAE, sequences: MotionSequences) -> Float[Tensor, " Z"]:
    """KL(q || p) of Eq. 8 in nats a frame, of each latent channel: a channel of (almost) none is not used."""
    windows, _ = sequences.windows(min(model.config.window, len(sequences)), model.config.window // 2)
    return model.encode(windows).kl_to_prior().mean(0) / windows.shape[1]
