"""What a person's head, shoulders and eyes do while it says something: generated, or as in its film."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import tee
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.blink_statistics import BlinkHabits
from dfa_nerfstudio.attributes.blink_synthesizer import Blinking
from dfa_nerfstudio.attributes.motion_config import GENERATED, NAMED, NONE, PRIOR, SOURCE, STILL, MovingConfig
from dfa_nerfstudio.attributes.motion_generation import stream_motion
from dfa_nerfstudio.attributes.motion_space import EYE_START
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.chunks import zip_chunks
from dfa_nerfstudio.media.rates import FRAME_RATE


class Moving:
    """Moves one person."""

    def __init__(self, models: AttributeModels, film: AttributeTrack | None, config: MovingConfig) -> None:
        """
        Args:
            models: the person's.
            film: the training part of the person's track; not needed where everything is generated.
            config: see there.

        Raises:
            UserError: for a track file that is of no use, or whose eyes are not of these models.
        """
        self.models, self.config = models, config
        named = config.pose in NAMED
        if not named and Path(config.pose).suffix != ".npz":
            raise UserError(
                f"--pose {config.pose}: give generated, prior, source, still, or the path of a track (.npz)"
            )
        self.source = film if named else AttributeTrack.load(Path(config.pose))
        self.blink = config.blink or (SOURCE if config.pose == SOURCE or not named else GENERATED)
        if self.blink == SOURCE and self.source is not None and self.source.eye_kind != models.eye_kind:
            raise UserError(
                f"--pose {config.pose}: the track has {self.source.eye_kind}, the models make {models.eye_kind}; run "
                "dfa-attributes again, or generate blinks (--blink generated)"
            )

    def stream(self, audio: Iterable[Float[Tensor, "n A"]], live: bool = False) -> Iterator[AttributeTrack]:
        """Pieces of a track for f_a that is still arriving, which they hold too.

        Args:
            audio: f_a in pieces of any length; as many frames come out as go in.
            live: see `stream_motion`.
        """
        config, models = self.config, self.models
        to_motion, to_clock, f_a = tee(audio, 3)
        if config.is_generated:
            generator = torch.Generator().manual_seed(config.seed)
            motion = stream_motion(models, to_motion, generator, config.temperature, config.pose == PRIOR, live)
            body = (models.motion.decode(piece) for piece in motion)
        else:
            frames = self._frames(to_motion, still=config.pose == STILL)
            body = ((self._film.head_to_camera[n], self._film.torso_motion[n], self._film.eye[n]) for n in frames)
        for_pose, for_torso, for_eye = tee(body, 3)
        pose, torso = (piece[0] for piece in for_pose), (piece[1] for piece in for_torso)
        eyes = self._eyes((piece[2] for piece in for_eye), to_clock)
        kinds = models.eye_kind, models.audio_kind  # weights are hashed for them
        for head_to_camera, torso_motion, eye, heard in zip_chunks(pose, torso, eyes, f_a):
            yield AttributeTrack(head_to_camera, torso_motion, eye, heard, *kinds, FRAME_RATE)

    def _eyes(self, made: Iterable[Float[Tensor, "n E"]], clock: Iterable[Tensor]) -> Iterator[Float[Tensor, "m E"]]:
        config, models = self.config, self.models
        if self.blink == SOURCE:
            own = self._frames(clock) if config.is_generated or config.pose == STILL else None
            yield from made if own is None else (self._film.eye[piece] for piece in own)
            return
        habits = BlinkHabits.of(models.training_opening)
        if config.is_generated:
            opening = (models.eye.to_opening(piece) for piece in made)
        else:
            rest = torch.tensor(habits.resting).mean()
            opening = (rest.expand(len(piece), 2) for piece in made)
        rate = None if self.blink == GENERATED else 0.0 if self.blink == NONE else float(self.blink)
        generator = torch.Generator().manual_seed(config.seed)
        for piece in Blinking(habits, generator, config.temperature, rate).stream(opening):
            yield models.eye.from_opening(piece.to(models.mfcc_mean))

    @property
    def _film(self) -> AttributeTrack:
        assert self.source is not None
        return self.source

    def _frames(self, clock: Iterable[Tensor], still: bool = False) -> Iterator[Int[Tensor, " n"]]:
        """Which frames of the source are shown, forth and back; still, always the one nearest to the mean pose."""
        film, start = self._film, 0
        period = max(1, 2 * (len(film) - 1))
        real = self.models.motion.encode(film.head_to_camera, film.torso_motion, film.eye)
        nearest = real[:, :EYE_START].square().mean(-1).argmin()
        for piece in clock:
            phase = torch.arange(start, start + len(piece)) % period
            forth_and_back = torch.minimum(phase, period - phase).clamp(max=len(film) - 1)
            yield nearest.repeat(len(piece)) if still else forth_and_back
            start += len(piece)


@torch.no_grad()
def generate_track(
    models: AttributeModels,
    audio: Float[Tensor, "T A"],
    config: MovingConfig | None = None,
    film: AttributeTrack | None = None,
) -> AttributeTrack:
    """Head pose, torso motion and blinks for new audio, all at once.

    Args:
        models: the person's.
        audio: f_a of the audio, by `AttributeModels.audio_features`.
        config: where motion comes from.
        film: see `Moving`.

    Returns:
        Exactly T frames.

    Raises:
        UserError: for features of another size.
    """
    if audio.ndim != 2 or audio.shape[1] != models.config.audio.embedding_dim or len(audio) == 0:
        raise UserError(
            f"f_a of shape {tuple(audio.shape)}: one row of {models.config.audio.embedding_dim} a frame needed"
        )
    return AttributeTrack.join(Moving(models, film, config or MovingConfig()).stream([audio]))
