"""Head motion generated for sound, window after window (section 3.4, test phase)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.blending import joined
from dfa_nerfstudio.attributes.motion_space import EYE_START
from dfa_nerfstudio.attributes.pose_prior import UsualPostures
from dfa_nerfstudio.attributes.segments import whole_windows

CANDIDATES = 8
"""Samples of each window, of which one is taken."""


@torch.no_grad()
def stream_motion(
    models: AttributeModels,
    audio: Iterable[Float[Tensor, "n A"]],
    generator: torch.Generator,
    temperature: float = 1.0,
    from_prior: bool = False,
    live: bool = False,
) -> Iterator[Float[Tensor, "m C"]]:
    """Standardised motion h for f_a that is still arriving, window after window (section 3.4, test phase).

    The first beginning of pose is a stretch of the training frames. The last tau frames generated are the next
    window's beginning of pose, on which it is laid (`joined`): neither position nor velocity jumps. E_ah knows how
    heads go on and not where they may be, so the beginning is moved to a usual posture before it goes on, of
    `CANDIDATES` samples one is taken whose postures the film makes likely (`UsualPostures`), and that is kept softly
    within the training range. Memory is that of one window.

    Args:
        models: the person's.
        audio: f_a in pieces of any length; as many frames come out as go in, live as many as are asked for.
        generator: of what is drawn.
        temperature: 1 moves as much as the person does, 0 gives the mean of all motions.
        from_prior: z is drawn from the prior of Z, continued from window to window, and of the sound only the length
            counts.
        live: a window is made when the sound up to its length before it has been heard, as if it went on as it was
            heard last; otherwise when that of all of it has.
    """
    config = models.config.cross_modal
    tau, fresh = config.bop, config.window - config.bop
    real = models.training_motion
    usual = UsualPostures.of(real)
    start = _beginning(real, models.training_shot, tau, generator, temperature)
    free = real[start : start + tau]  # the last frames before they are bounded: these have no kink to go on with
    heard, first, done = real.new_zeros(0, models.config.audio.embedding_dim), 0, 0  # f_a from frame `first` on
    pieces, ended = iter(audio), False
    while True:
        wanted = max(done - fresh, 0) + 1 if live else done + fresh
        while not ended and first + len(heard) < wanted:
            piece = next(pieces, None)
            ended = piece is None
            heard = heard if piece is None else torch.cat([heard, piece])
        known = first + len(heard)
        if not known or (known <= done and not live):
            return
        # The beginning of pose sounds like what was just said; before the first word, like its first frame.
        rows = torch.arange(done - tau, done + fresh).clamp(0, known - 1) - first
        bop = usual.laid_back(models.motion.bound(free))
        if from_prior:
            guess = models.vae.continued(bop[None], config.window)
        else:
            guess = models.cross_modal(heard[rows][None], bop[None], models.vae)
        latents = guess.samples(CANDIDATES, temperature, generator)
        several = joined(models.vae.decode(latents), free.expand(CANDIDATES, -1, -1), config.momentum, config.memory)
        decoded = several[usual.choose(several[:, tau:], generator)]
        yield models.motion.bound(decoded[tau:])[: known - done if ended and not live else fresh]
        free, done = decoded[-tau:], done + fresh
        drop = min(max(done - tau - first, 0), len(heard) - 1)
        heard, first = heard[drop:], first + drop


def _beginning(
    real: Float[Tensor, "N C"], shot: Int[Tensor, " N"], tau: int, generator: torch.Generator, temperature: float
) -> int:
    """Where the first beginning of pose starts: a random stretch, at temperature 0 the one nearest to the mean pose.

    A stretch lies within one shot (any, where no shot is as long) and has no sudden movement.
    """
    windows = real[:, :EYE_START].unfold(0, tau, 1)  # [N - tau + 1, C, tau]
    whole = whole_windows(shot, tau)
    whole = whole if whole.any() else torch.ones_like(whole)
    jump = windows.diff(dim=-1).abs().amax((1, 2))
    calm = torch.nonzero(whole & (jump <= jump[whole].quantile(0.8))).flatten()
    if temperature == 0:
        return int(calm[windows[calm].square().mean((1, 2)).argmin()])
    return int(calm[int(torch.randint(len(calm), (), generator=generator))])
