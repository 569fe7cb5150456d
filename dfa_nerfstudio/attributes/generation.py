"""Attribute tracks for new audio: generated head motion and blinks, or the source video's poses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.attributes.blinking import Blinking
from dfa_nerfstudio.attributes.blinks import BlinkHabits
from dfa_nerfstudio.attributes.bundle import AttributeModels
from dfa_nerfstudio.attributes.joining import joined
from dfa_nerfstudio.attributes.motion import EYE_START
from dfa_nerfstudio.attributes.shots import whole_windows
from dfa_nerfstudio.attributes.usual_postures import UsualPostures
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.dataset_folder import FRAME_RATE
from dfa_nerfstudio.errors import UserError

CANDIDATES = 8
"""Samples of each window, of which one is taken."""


def _check_audio(models: AttributeModels, audio: Float[Tensor, "T A"]) -> None:
    if audio.ndim != 2 or audio.shape[1] != models.config.audio.embedding_dim or len(audio) == 0:
        raise UserError(
            f"f_a of shape {tuple(audio.shape)}: one row of {models.config.audio.embedding_dim} a frame needed"
        )


@torch.no_grad()
def generate_track(
    models: AttributeModels,
    audio: Float[Tensor, "T A"],
    *,
    seed: int = 0,
    temperature: float = 1.0,
    from_prior: bool = False,
) -> AttributeTrack:
    """Head pose, torso motion and blinks for new audio of any length.

    Args:
        models: the person's.
        audio: f_a of the audio, by `AttributeModels.audio_features`.
        seed: another seed gives another motion; the same gives the same.
        temperature: 1 moves as much as the person does, 0 gives the mean of all motions.
        from_prior: see `stream_motion`.

    Returns:
        Exactly T frames.

    Raises:
        UserError: for a negative temperature or features of another size.
    """
    if not temperature >= 0:
        raise UserError(f"--temperature {temperature}: must be 0 or more")
    _check_audio(models, audio)
    generator = torch.Generator().manual_seed(seed)
    motion = torch.cat(list(stream_motion(models, [audio], generator, temperature, from_prior)))
    pose, torso, eye = models.motion.decode(motion)
    blinking = Blinking(BlinkHabits.of(models.training_opening), generator, temperature)
    opening = torch.cat(list(blinking.stream([models.eye.to_opening(eye)])))
    return AttributeTrack(
        pose, torso, models.eye.from_opening(opening.to(eye)), audio, models.eye_kind, models.audio_kind, FRAME_RATE
    )


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
        audio: f_a in pieces of any length; as many frames come out as go in, live some more at the end.
        generator: of what is drawn.
        temperature: see `generate_track`.
        from_prior: z is drawn from the prior of Z, continued from window to window, and of the sound only the length
            counts.
        live: a window is made as soon as its first frame is asked for, as if the sound went on as it is heard last;
            otherwise when the sound of all of it has been heard.
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
        while not ended and first + len(heard) < done + (1 if live else fresh):
            piece = next(pieces, None)
            ended = piece is None
            heard = heard if piece is None else torch.cat([heard, piece])
        known = first + len(heard)
        if known <= done:
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
        yield models.motion.bound(decoded[tau:])[: known - done if ended else fresh]
        free, done = decoded[-tau:], done + fresh
        drop = max(done - tau - first, 0)
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


@torch.no_grad()
def source_track(
    models: AttributeModels,
    audio: Float[Tensor, "T A"],
    source: AttributeTrack,
    mode: Literal["source", "still"] = "source",
) -> AttributeTrack:
    """The source video's own motion for new audio.

    Args:
        models: the person's.
        audio: f_a of the audio.
        source: the training part of the clip's track.
        mode: `source` plays its frames forth and back for as long as needed; `still` holds the training frame nearest
            to the mean pose, with open eyes.

    Raises:
        UserError: where the track is not of these models.
    """
    _check_audio(models, audio)
    if source.eye_kind != models.eye_kind:
        raise UserError(f"the track has {source.eye_kind}, the models make {models.eye_kind}; run dfa-attributes again")
    count, length = len(source), len(audio)
    if mode == "still":
        real = models.motion.encode(source.head_to_camera, source.torso_motion, source.eye)
        frames = real[:, :EYE_START].square().mean(-1).argmin().repeat(length)
        open_eyes = torch.quantile(models.training_opening, 0.8, dim=0).expand(length, 2)
        eye = models.eye.from_opening(open_eyes)
    else:
        period = max(1, 2 * (count - 1))
        phase = torch.arange(length) % period
        frames = torch.minimum(phase, period - phase).clamp(max=count - 1)
        eye = source.eye[frames]
    return AttributeTrack(
        source.head_to_camera[frames],
        source.torso_motion[frames],
        eye,
        audio,
        models.eye_kind,
        models.audio_kind,
        FRAME_RATE,
    )
