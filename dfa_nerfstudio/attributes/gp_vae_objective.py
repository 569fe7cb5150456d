"""Training objective of the GP-VAE: reconstruction and KL divergence from the prior (Eqs. 6 and 8)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.attributes.gp_vae import TransformerGPVAE
from dfa_nerfstudio.attributes.motion_sequences import MotionSequences
from dfa_nerfstudio.attributes.objective import Objective
from dfa_nerfstudio.attributes.segments import random_windows


def sequence_loss(
    decoded: Float[Tensor, "N T C"],
    true: Float[Tensor, "N T C"],
    speed: Float[Tensor, " C"],
    velocity_weight: float,
) -> Float[Tensor, ""]:
    """Computes the mean square error of Eq. 6, plus that of the frame-to-frame change relative to `speed`.

    A tenth of a standard deviation is a small error of a pose, but as much as a head moves in a frame. Without the
    second term, decoded motion trembles.

    Args:
        decoded: decoded sequences.
        true: true sequences.
        speed: root mean square frame-to-frame change of each channel.
        velocity_weight: weight of the second term.
    """
    change = ((decoded.diff(dim=1) - true.diff(dim=1)) / speed).square().mean()
    return (decoded - true).square().mean() + velocity_weight * change


def reference_speed(motion: Float[Tensor, "T C"], shot: Int[Tensor, " T"]) -> Float[Tensor, " C"]:
    """Computes the root mean square frame-to-frame change of each channel within shots; at least a tenth of that of the
    fastest channel."""
    speed = motion.diff(dim=0)[shot.diff() == 0].square().mean(0).sqrt()
    return speed.clamp(min=0.1 * float(speed.max()) + 1e-6)


class GPVAEObjective(Objective):
    """Eq. 6 plus the weighted KL of Eq. 8 on random windows of random length.

    The KL's weight rises linearly over the first 30 % of the steps, and each channel's KL is not penalised up to
    `free_nats` per frame. Both prevent the posterior from collapsing onto the prior before the decoder uses it.
    """

    motion: Tensor
    shot: Tensor
    weight: Tensor
    speed: Tensor
    val_motion: Tensor

    def __init__(self, model: TransformerGPVAE, train: MotionSequences, val: MotionSequences | None = None) -> None:
        super().__init__()
        self.model = model
        self.register_data(motion=train.motion, shot=train.shot, weight=train.weight)
        self.register_data(speed=reference_speed(train.motion, train.shot))
        self.register_data(val_motion=(val or train.part(slice(0))).windows(model.config.window, 8)[0])

    def training_loss(self, progress: float) -> dict[str, Tensor]:
        """Computes reconstruction error and KL of a batch."""
        config = self.model.config
        longest = min(config.window, len(self.motion))
        length = int(torch.randint(max(2, longest // 2), longest + 1, ()))
        motion = self.motion[random_windows(config.batch_size, length, self.shot, self.weight)]
        motion = motion + config.shift_noise * torch.randn_like(motion[:, :1])
        posterior = self.model.encode(motion)
        decoded = self.model.decode(posterior.sample())
        nats = posterior.kl_to_prior().mean(0) / length  # [Z]
        weight = config.kl_weight * min(1.0, progress / 0.3)
        return {
            "reconstruction": sequence_loss(decoded, motion, self.speed, config.velocity_weight),
            "kl": weight * nats.clamp(min=config.free_nats).sum(),
        }

    @torch.no_grad()
    def validation_loss(self) -> Tensor | None:
        """Computes the reconstruction error from the posterior mean on the validation windows; None without them."""
        if not len(self.val_motion):
            return None
        return (self.model.decode(self.model.encode(self.val_motion).mean) - self.val_motion).square().mean()


@torch.no_grad()
def channel_kl(model: TransformerGPVAE, sequences: MotionSequences) -> Float[Tensor, " Z"]:
    """Computes KL(q || p) of Eq. 8 of each latent channel, in nats per frame; it is about 0 for an unused channel."""
    windows, _ = sequences.windows(min(model.config.window, len(sequences)), model.config.window // 2)
    return model.encode(windows).kl_to_prior().mean(0) / windows.shape[1]
