"""Audio conditioning: closed mouth in silence, smoothed lips; and tracks at other frame rates."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

from dfa_nerfstudio.attributes.attribute_models import MODELS_FILE_NAME, AttributeModels
from dfa_nerfstudio.data.attribute_track import AttributeTrack, FeatureKind
from dfa_nerfstudio.data.dataset_folder import F_A_TRACK
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.talk.audio_conditioning import AudioConditioner
from dfa_nerfstudio.talk.frame_renderer import resample_frame_rate
from dfa_nerfstudio.talk.talk_config import AudioConditioningConfig
from tests.pipeline_fixture import PipelineRun

PAUSE = 2 * SAMPLE_RATE
"""Number of silent samples between two utterances."""


@pytest.fixture(scope="module")
def condition(demo: PipelineRun):
    """A function that returns f_a, the condition of the mouth and the closed mouth's condition for audio."""
    models = AttributeModels.load(demo.data / MODELS_FILE_NAME)
    closed = {"lips": models.closed_lips, "f_a": AttributeTrack.load(demo.data / F_A_TRACK).mouth[0]}

    def stream(
        audio: np.ndarray, mouth: Literal["lips", "f_a"] = "lips", live: bool = False, **options: object
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        conditioner = AudioConditioner(models, closed[mouth], AudioConditioningConfig(**options), live)
        with torch.no_grad():
            chunks = list(conditioner.stream(np.array_split(audio, 37), mouth))
        return torch.cat([f_a for f_a, _ in chunks]), torch.cat([feature for _, feature in chunks]), closed[mouth]

    return stream


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("mouth", ["lips", "f_a"])
def test_the_mouth_closes_in_silence_without_a_jump(demo: PipelineRun, condition, mouth: str, live: bool):
    speech = read_audio(demo.speech)
    audio = np.concatenate([speech, np.zeros(PAUSE, np.float32), speech])
    f_a, feature, closed_mouth = condition(audio, mouth, live, smooth_lips=0.0)
    first = int(len(speech) * FRAME_RATE / SAMPLE_RATE)
    pause = slice(first + 8, first + 42)
    assert (feature[pause] - closed_mouth).norm(dim=-1).max() < 1e-4
    _, unchanged, _ = condition(audio, mouth, live, smooth_lips=0.0, close_in_silence=False)
    if mouth == "f_a":
        torch.testing.assert_close(unchanged, f_a)
    speaking = (feature - unchanged).norm(dim=-1) < 1e-4
    assert speaking[: first - 5].float().mean() > 0.8, "the mouth is closed during speech"
    steps = feature.diff(dim=0).norm(dim=-1)
    reference = unchanged.diff(dim=0).norm(dim=-1)
    assert steps[first - 5 : first + 60].max() < 1.2 * reference.max()


@pytest.mark.parametrize("mouth", ["lips", "f_a"])
def test_lips_are_smoothed_and_do_not_lag(demo: PipelineRun, condition, mouth: str):
    raw = {"close_in_silence": False, "lip_projection": 0.0}
    (_, rough, _), (_, smooth, _) = (
        condition(read_audio(demo.speech), mouth, smooth_lips=deviation, **raw) for deviation in (0.0, 1.0)
    )
    assert smooth.diff(n=2, dim=0).norm() < 0.6 * rough.diff(n=2, dim=0).norm()
    rough, smooth = rough - rough.mean(0), smooth - smooth.mean(0)
    correlation = [float((rough[5:-5] * smooth[5 + lag : len(smooth) - 5 + lag]).sum()) for lag in range(-3, 4)]
    assert int(np.argmax(correlation)) == 3, "the smoothed lips lag"


@pytest.mark.parametrize("lead", ["silence", "noise", "tones"])
@pytest.mark.parametrize("live", [False, True])
def test_what_stands_before_the_words_does_not_change_their_lips(demo: PipelineRun, condition, lead: str, live: bool):
    speech, seconds = read_audio(demo.speech), 66
    times = np.arange(seconds * SAMPLE_RATE) / SAMPLE_RATE
    before = {
        "silence": np.zeros(len(times)),
        "noise": 0.003 * np.random.default_rng(0).standard_normal(len(times)),
        "tones": 0.1 * np.sin(2 * np.pi * (220 * np.floor(times * 2) % 660 + 220) * times),
    }[lead].astype(np.float32)
    alone_f_a, alone, _ = condition(speech, live=live)
    f_a, after, _ = condition(np.concatenate([before, speech]), live=live)
    start = round(seconds * FRAME_RATE)
    difference = (after[start + 5 :] - alone[5:]).square().mean().sqrt()
    assert difference < 0.05 * alone.std(0).norm(), float(difference / alone.std(0).norm())
    assert (f_a[start + 15 :] * alone_f_a[15:]).sum(-1).mean() > (0.9 if live else 0.97)


@pytest.mark.parametrize("fps", [12.5, 25.0, 30.0, 60.0])
def test_a_track_is_resampled_to_another_frame_rate(fps: float):
    num_frames = 50
    pose = torch.eye(4).repeat(num_frames, 1, 1)
    pose[:, 0, 3] = torch.arange(num_frames) / FRAME_RATE  # time in seconds
    kinds = FeatureKind("eye-blink", 1, "t"), FeatureKind("synchronised-audio", 1, "t")
    track = AttributeTrack(
        pose, torch.zeros(num_frames, 4), torch.zeros(num_frames, 2), torch.zeros(num_frames, 3), *kinds
    )
    chunks = [track[slice(0, 1)], track[slice(1, 9)], track[slice(9, 50)]]
    resampled = AttributeTrack.join(resample_frame_rate(chunks, fps))
    assert len(resampled) == round(2 * fps) and resampled.fps == fps
    expected = (torch.arange(len(resampled)) / fps).clamp(max=49 / FRAME_RATE)
    inner = slice(round(0.1 * fps), round(1.9 * fps))  # at the ends the motion is taken to stand still
    torch.testing.assert_close(resampled.head_to_camera[inner, 0, 3], expected[inner], atol=1e-3, rtol=0)
    whole = AttributeTrack.join(resample_frame_rate([track], fps))
    torch.testing.assert_close(resampled.head_to_camera, whole.head_to_camera, atol=1e-5, rtol=0)
