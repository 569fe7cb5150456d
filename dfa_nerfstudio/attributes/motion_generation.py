"""Generates head motion for audio, window by window (section 3.4, test phase)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.blending import blend_onset
from dfa_nerfstudio.attributes.motion_space import EYE_START
from dfa_nerfstudio.attributes.pose_prior import PosePrior
from dfa_nerfstudio.attributes.segments import windows_within_shot

NUM_CANDIDATES = 8
"""Number of samples of each window, of which one is selected."""
MAX_JUMP_QUANTILE = 0.8
"""Quantile of the largest frame-to-frame change up to which training windows may start the generation."""


@torch.no_grad()
def stream_motion(
    models: AttributeModels,
    audio: Iterable[Float[Tensor, "n A"]],
    generator: torch.Generator,
    temperature: float = 1.0,
    from_prior: bool = False,
    live: bool = False,
) -> Iterator[Float[Tensor, "m C"]]:
    """Yields standardised motion h, window by window, while f_a is still arriving (section 3.4, test phase).

    The first beginning of pose is a segment of the training frames. The last tau frames generated are the next window's
    beginning of pose, onto which it is blended (`blend_onset`), so that neither position nor velocity jumps. E_ah
    models how heads move and not which poses a person takes. Therefore the beginning is projected to a likely pose
    before E_ah continues it, one of `NUM_CANDIDATES` samples is selected by the likelihood of its poses (`PosePrior`),
    and the result is softly limited to the training range and to the neighbourhood of the video's poses. Memory is
    that of one window.

    Args:
        models: the person's attribute models.
        audio: f_a in chunks of any length. As many frames are yielded in total; if `live`, as many as are requested.
        generator: source of random numbers.
        temperature: 1 varies the motion as much as the person does, 0 gives the mean of all motions.
        from_prior: whether z is drawn from the prior of Z, continued from window to window; only the length of the
            audio matters then.
        live: whether a window is generated as soon as the audio up to its own length before its start has arrived,
            with the last f_a repeated for the rest; otherwise it is generated when all of its audio has arrived.
    """
    config = models.config.cross_modal
    tau, hop = config.bop, config.window - config.bop
    training_motion = models.training_motion
    pose_prior = PosePrior.from_motion(training_motion)
    start = draw_beginning(training_motion, models.training_shot, tau, generator, temperature)
    unbounded = training_motion[start : start + tau]  # the last frames before they are limited, which adds kinks
    # f_a from frame `first` on; number of frames yielded
    features, first, emitted = training_motion.new_zeros(0, models.config.audio.embedding_dim), 0, 0
    chunks, ended = iter(audio), False
    while True:
        wanted = max(emitted - hop, 0) + 1 if live else emitted + hop
        while not ended and first + len(features) < wanted:
            chunk = next(chunks, None)
            ended = chunk is None
            features = features if chunk is None else torch.cat([features, chunk])
        known = first + len(features)
        if not known or (known <= emitted and not live):
            return
        # f_a of the beginning of pose is that of the frames before the window; before the first frame, the first f_a.
        rows = torch.arange(emitted - tau, emitted + hop).clamp(0, known - 1) - first
        bop = pose_prior.project(models.motion.bound(unbounded))
        if from_prior:
            latent = models.vae.extrapolate(bop[None], config.window)
        else:
            latent = models.cross_modal(features[rows][None], bop[None], models.vae)
        decoded = models.vae.decode(latent.samples(NUM_CANDIDATES, temperature, generator))
        beginning = unbounded.expand(NUM_CANDIDATES, -1, -1)
        candidates = blend_onset(decoded, beginning, config.velocity_decay, config.position_decay)
        window = candidates[pose_prior.sample(candidates[:, tau:], generator)]
        yield models.motion.bound(pose_prior.limit(window[tau:]))[: known - emitted if ended and not live else hop]
        unbounded, emitted = window[-tau:], emitted + hop
        drop = min(max(emitted - tau - first, 0), len(features) - 1)
        features, first = features[drop:], first + drop


def draw_beginning(
    motion: Float[Tensor, "N C"], shot: Int[Tensor, " N"], tau: int, generator: torch.Generator, temperature: float
) -> int:
    """Draws the first frame of the first beginning of pose; at temperature 0 it is that nearest to the mean pose.

    The segment lies within one shot (anywhere, if no shot is that long) and contains no sudden movement.
    """
    windows = motion[:, :EYE_START].unfold(0, tau, 1)  # [N - tau + 1, C, tau]
    allowed = windows_within_shot(shot, tau)
    allowed = allowed if allowed.any() else torch.ones_like(allowed)
    jump = windows.diff(dim=-1).abs().amax((1, 2))
    calm = torch.nonzero(allowed & (jump <= jump[allowed].quantile(MAX_JUMP_QUANTILE))).flatten()
    if temperature == 0:
        return int(calm[windows[calm].square().mean((1, 2)).argmin()])
    return int(calm[int(torch.randint(len(calm), (), generator=generator))])
