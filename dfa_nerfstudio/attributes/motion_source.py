"""Streams head pose, torso motion and eye embeddings for new audio: generated, or taken from a video or track."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import tee
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.blink_statistics import BlinkStatistics
from dfa_nerfstudio.attributes.blink_synthesizer import BlinkSynthesizer
from dfa_nerfstudio.attributes.motion_config import GENERATED, NAMED_POSES, NONE, PRIOR, SOURCE, STILL, MotionConfig
from dfa_nerfstudio.attributes.motion_generation import stream_motion
from dfa_nerfstudio.attributes.motion_space import EYE_START
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.chunks import zip_chunks
from dfa_nerfstudio.media.rates import FRAME_RATE


class MotionSource:
    """Streams the motion of one person."""

    def __init__(self, models: AttributeModels, source: AttributeTrack | None, config: MotionConfig) -> None:
        """
        Args:
            models: the person's attribute models.
            source: the training part of the person's track; may be None where everything is generated.
            config: options.

        Raises:
            UserError: if a track file cannot be used, or its eye features are not those of the models.
        """
        self.models, self.config = models, config
        named = config.pose in NAMED_POSES
        if not named and Path(config.pose).suffix != ".npz":
            raise UserError(
                f"`pose={config.pose}`: give generated, prior, source, still, or the path of a track (.npz)"
            )
        self.source = source if named else AttributeTrack.load(Path(config.pose))
        self.blink = config.blink or (SOURCE if config.pose == SOURCE or not named else GENERATED)
        if self.blink == SOURCE and self.source is not None and self.source.eye_kind != models.eye_kind:
            raise UserError(
                f"`pose={config.pose}`: the track has {self.source.eye_kind}, the models compute {models.eye_kind}; "
                "run dfa-attributes again, or generate blinks (`blink=generated`)"
            )

    def stream(self, audio: Iterable[Float[Tensor, "n A"]], live: bool = False) -> Iterator[AttributeTrack]:
        """Yields chunks of a track, conditioned on f_a, while f_a is still arriving.

        Args:
            audio: f_a in chunks of any length; the track has as many frames in total.
            live: see `stream_motion`.
        """
        config, models = self.config, self.models
        to_motion, f_a = tee(audio)
        if config.is_generated:
            generator = torch.Generator().manual_seed(config.seed)
            motion = stream_motion(models, to_motion, generator, config.temperature, config.pose == PRIOR, live)
            body = (models.motion.decode(chunk) for chunk in motion)
        else:
            track, frames = self._source_track, self._source_frames(to_motion, still=config.pose == STILL)
            body = ((track.head_to_camera[n], track.torso_motion[n], track.eye[n]) for n in frames)
        for_pose, for_torso, for_eye = tee(body, 3)
        pose, torso = (chunk[0] for chunk in for_pose), (chunk[1] for chunk in for_torso)
        eyes = self._eyes(chunk[2] for chunk in for_eye)
        kinds = models.eye_kind, models.audio_kind  # computed once, because they hash the weights
        for head_to_camera, torso_motion, eye, audio_chunk in zip_chunks(pose, torso, eyes, f_a):
            yield AttributeTrack(head_to_camera, torso_motion, eye, audio_chunk, *kinds, FRAME_RATE)

    def _eyes(self, eyes: Iterable[Float[Tensor, "n E"]]) -> Iterator[Float[Tensor, "m E"]]:
        """f_e with blinks of the configured source; `eyes` is the f_e that comes with the head motion."""
        config, models = self.config, self.models
        if self.blink == SOURCE:
            if config.is_generated or config.pose == STILL:
                yield from (self._source_track.eye[frames] for frames in self._source_frames(eyes))
            else:
                yield from eyes
            return
        statistics = BlinkStatistics.from_opening(models.training_opening)
        if config.is_generated:
            opening = (models.eye.to_opening(chunk) for chunk in eyes)
        else:
            resting = torch.tensor(statistics.resting_range).mean()
            opening = (resting.expand(len(chunk), 2) for chunk in eyes)
        rate = None if self.blink == GENERATED else 0.0 if self.blink == NONE else float(self.blink)
        generator = torch.Generator().manual_seed(config.seed)
        for chunk in BlinkSynthesizer(statistics, generator, config.temperature, rate).stream(opening):
            yield models.eye.from_opening(chunk.to(models.mfcc_mean))

    @property
    def _source_track(self) -> AttributeTrack:
        assert self.source is not None
        return self.source

    def _source_frames(self, clock: Iterable[Tensor], still: bool = False) -> Iterator[Int[Tensor, " n"]]:
        """Frame indices of the source, forwards and backwards in turn; if `still`, always the frame nearest to the
        mean pose."""
        track, start = self._source_track, 0
        period = max(1, 2 * (len(track) - 1))
        motion = self.models.motion.encode(track.head_to_camera, track.torso_motion, track.eye)
        nearest = motion[:, :EYE_START].square().mean(-1).argmin()
        for chunk in clock:
            phase = torch.arange(start, start + len(chunk)) % period
            mirrored = torch.minimum(phase, period - phase).clamp(max=len(track) - 1)
            yield nearest.repeat(len(chunk)) if still else mirrored
            start += len(chunk)


@torch.no_grad()
def generate_track(
    models: AttributeModels,
    audio: Float[Tensor, "T A"],
    config: MotionConfig | None = None,
    source: AttributeTrack | None = None,
) -> AttributeTrack:
    """Generates head pose, torso motion and blinks for new audio in one call.

    Args:
        models: the person's attribute models.
        audio: f_a of the audio, by `AttributeModels.audio_features`.
        config: source of the motion.
        source: see `MotionSource`.

    Returns:
        A track of exactly T frames.

    Raises:
        UserError: if `audio` has another feature size, or no frames.
    """
    if audio.ndim != 2 or audio.shape[1] != models.config.audio.embedding_dim or len(audio) == 0:
        raise UserError(
            f"f_a of shape {tuple(audio.shape)}: give one row of {models.config.audio.embedding_dim} values per frame"
        )
    return AttributeTrack.join(MotionSource(models, source, config or MotionConfig()).stream([audio]))
