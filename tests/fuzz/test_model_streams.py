"""Streams of the attribute models and of driving give the same numbers for every chunking of their input."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cache
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from dfa_nerfstudio.attributes.attribute_models import AttributeModels
from dfa_nerfstudio.attributes.blink_statistics import BlinkStatistics
from dfa_nerfstudio.attributes.blink_synthesizer import BlinkSynthesizer
from dfa_nerfstudio.attributes.lips import lip_models, running_statistics
from dfa_nerfstudio.attributes.lips.audio_to_lips import AudioToLipsConfig
from dfa_nerfstudio.attributes.lips.lip_config import LipConfig
from dfa_nerfstudio.attributes.lips.train_lips import train_lips
from dfa_nerfstudio.attributes.motion_config import MotionConfig
from dfa_nerfstudio.attributes.motion_dataset import fit_motion_space
from dfa_nerfstudio.attributes.motion_source import MotionSource
from dfa_nerfstudio.attributes.pretrained_models import ModelsConfig
from dfa_nerfstudio.attributes.recordings import Recording
from dfa_nerfstudio.data.attribute_track import AttributeTrack
from dfa_nerfstudio.data.audio_features import MfccFeature
from dfa_nerfstudio.talk import audio_conditioning
from dfa_nerfstudio.talk.audio_conditioning import AudioConditioner
from dfa_nerfstudio.talk.frame_renderer import resample_frame_rate
from dfa_nerfstudio.talk.talk_config import AudioConditioningConfig
from tests.attributes.synthetic import synthetic_clip
from tests.fuzz.chunking import SPEECH, cuts, joined, split

NUM_TRAIN, NUM_MFCC, NUM_SPEECH = 200, 26, 16 * 13
seeds, lengths = st.integers(0, 99), st.integers(0, 150)


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@cache
def small_models() -> tuple[AttributeModels, AttributeTrack]:
    """Models with random weights, whose closed-form parts are fitted to a synthetic person, and the person's track."""
    clip, config = synthetic_clip(NUM_TRAIN), ModelsConfig()
    config.lips = AudioToLipsConfig(features="mfcc", num_features=12)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        recording = Recording.from_clip(clip, slice(None), speech=noise(1, NUM_TRAIN, NUM_SPEECH))
        models = AttributeModels(config, NUM_MFCC, NUM_SPEECH, NUM_TRAIN, str(MfccFeature.kind))
        models.autoencoder.set_statistics(recording.neutral, recording.expression)
        train_lips(models.lips, [recording])
        models.training_lips = models.lips.space.encode(recording.expression)
        models.training_motion = fit_motion_space(models, recording, models.eye, models.motion)
        models.training_opening, models.training_shot = recording.eye_opening, recording.shot
        eye = models.eye.from_opening(recording.eye_opening)
    f_a = noise(2, NUM_TRAIN, config.audio.embedding_dim)
    return models, AttributeTrack(recording.pose, recording.torso, eye, f_a, models.eye_kind, models.audio_kind)


@given(rows=st.integers(0, 300), borders=cuts, seed=seeds)
def test_audio_encoder(rows: int, borders: list[float], seed: int) -> None:
    encoder, values = small_models()[0].audio, noise(seed, rows, NUM_MFCC)
    streamed = joined(encoder.stream(split(values, borders)))
    assert len(streamed) == rows // 4
    if rows >= 4:
        np.testing.assert_allclose(streamed, encoder.features(values), atol=1e-5)


@given(
    frames=lengths,
    borders=st.tuples(cuts, cuts),
    lookahead=st.sampled_from([0, 1, 40, 1500]),
    prior=st.sampled_from([1.0, 100.0]),
    seed=seeds,
)
def test_running_statistics(
    frames: int, borders: tuple[list[float], list[float]], lookahead: int, prior: float, seed: int
) -> None:
    values, voice = 3 + noise(seed, frames, 5), noise(seed + 100, frames) > 0
    moments = torch.zeros(5), torch.ones(5)

    def rows(value_chunks: list[torch.Tensor], voice_chunks: list[torch.Tensor]) -> np.ndarray:
        with mock.patch.object(running_statistics, "PRIOR_FRAMES", prior):
            found = running_statistics.running_statistics(value_chunks, voice_chunks, moments, lookahead)
            return joined(
                torch.cat([chunk, mean.expand_as(chunk), std.expand_as(chunk)], 1) for chunk, mean, std in found
            )

    whole = rows([values], [voice])
    assert len(whole) == frames
    np.testing.assert_allclose(rows(split(values, borders[0]), split(voice, borders[1])), whole, atol=1e-5)


@given(
    frames=lengths,
    borders=st.tuples(cuts, cuts),
    seed=seeds,
    live=st.booleans(),
    restore=st.booleans(),
    projection=st.sampled_from([0.0, 0.5, 1.0]),
    smoothing=st.sampled_from([0.0, 0.3, 2.0]),
)
def test_lips(
    frames: int,
    borders: tuple[list[float], list[float]],
    seed: int,
    live: bool,
    restore: bool,
    projection: float,
    smoothing: float,
) -> None:
    models, config = small_models()[0], LipConfig(0.8, restore, projection, smoothing)
    speech, voice = noise(seed, frames, NUM_SPEECH), noise(seed + 100, frames) > 0
    with mock.patch.object(lip_models, "STATISTICS_FRAMES", 40):
        whole = joined(models.stream_lips([speech], [voice], config, live))
        assert len(whole) == frames and np.isfinite(whole).all()
        parts = split(speech, borders[0]), split(voice, borders[1])
        np.testing.assert_allclose(joined(models.stream_lips(*parts, config, live)), whole, atol=2e-3)


@given(
    frames=st.integers(0, 400),
    borders=cuts,
    seed=seeds,
    temperature=st.sampled_from([0.0, 1.0]),
    rate=st.none() | st.floats(0, 120),
)
def test_blinks(frames: int, borders: list[float], seed: int, temperature: float, rate: float | None) -> None:
    statistics = BlinkStatistics.from_opening(small_models()[0].training_opening)
    opening = (0.8 + 0.1 * noise(seed, frames, 2)).clamp(0, 1)

    def blinks(chunks: list[torch.Tensor]) -> np.ndarray:
        generator = torch.Generator().manual_seed(seed)
        return joined(BlinkSynthesizer(statistics, generator, temperature, rate).stream(chunks))

    whole = blinks([opening])
    assert len(whole) == frames and ((whole >= 0) & (whole <= 1)).all()
    np.testing.assert_allclose(blinks(split(opening, borders)), whole, atol=1e-6)


@given(
    frames=lengths,
    borders=cuts,
    pose=st.sampled_from(["generated", "prior", "source", "still"]),
    blink=st.sampled_from([None, "generated", "source", "none", "40"]),
    temperature=st.sampled_from([0.0, 1.0]),
    seed=seeds,
)
def test_motion(frames: int, borders: list[float], pose: str, blink: str | None, temperature: float, seed: int) -> None:
    models, track = small_models()
    f_a, config = noise(seed, frames, models.config.audio.embedding_dim), MotionConfig(pose, blink, seed, temperature)
    source = MotionSource(models, track, config)
    chunks = list(source.stream(split(f_a, borders)))
    assert sum(map(len, chunks)) == frames
    if not frames:
        return
    whole, streamed = AttributeTrack.join(source.stream([f_a])), AttributeTrack.join(chunks)
    assert torch.equal(streamed.mouth, f_a)
    for name in ("head_to_camera", "torso_motion", "eye"):
        torch.testing.assert_close(getattr(streamed, name), getattr(whole, name), atol=1e-4, rtol=1e-4)
    live = list(source.stream(split(f_a, borders), live=True))
    assert sum(map(len, live)) == frames


@given(borders=cuts, fps=st.floats(1, 120), frames=st.integers(1, 100), seed=seeds)
def test_frame_rates(borders: list[float], fps: float, frames: int, seed: int) -> None:
    track = dataclasses.replace(small_models()[1][:frames], mouth=noise(seed, frames, 3))
    whole = list(resample_frame_rate([track], fps))
    parts = [values for values in split(torch.arange(frames), borders) if len(values)]  # a track has a frame at least
    chunks = list(resample_frame_rate((track[part] for part in parts), fps))
    assert sum(map(len, chunks)) == sum(map(len, whole))
    for name in ("head_to_camera", "mouth"):
        pair = (joined(getattr(chunk, name) for chunk in chunks) for chunks in (chunks, whole))
        np.testing.assert_allclose(*pair, atol=2e-3)


@given(
    first=st.integers(0, 30_000),
    count=st.integers(0, 40_000),
    borders=cuts,
    condition=st.sampled_from(["lips", "f_a", "mfcc"]),
    statistics=st.sampled_from([30, 6000]),
    close=st.booleans(),
)
@example(first=0, count=40_000, borders=[0.37, 0.6], condition="f_a", statistics=30, close=False)
def test_audio_conditioning(
    first: int, count: int, borders: list[float], condition: str, statistics: int, close: bool
) -> None:
    models, audio = small_models()[0], SPEECH[first : first + count]
    closed = {"lips": models.closed_lips, "f_a": torch.zeros(64), "mfcc": torch.zeros(NUM_SPEECH)}[condition]
    config = AudioConditioningConfig(close_in_silence=close, smooth_lips=0.5)
    names = [*audio_conditioning.OwnCondition.__args__]
    feature = condition if condition in names else MfccFeature()

    def rows(chunks: list[np.ndarray], live: bool = False) -> np.ndarray:
        found = AudioConditioner(models, closed, config, live).stream(chunks, feature)
        return joined(torch.cat(pair, 1) for pair in found)

    with mock.patch.multiple(audio_conditioning, STATISTICS_ROWS=statistics, MIN_STATISTICS_ROWS=20):
        try:
            whole = rows([audio])
        except audio_conditioning.UserError as error:
            with pytest.raises(type(error)):
                rows(split(audio, borders))
            return
        assert len(whole) == -(-len(audio) // 640) and np.isfinite(whole).all()
        np.testing.assert_allclose(rows(split(audio, borders)), whole, atol=5e-3)
        live = rows(split(audio, borders), live=True)
        assert len(live) == len(whole) and np.isfinite(live).all()
