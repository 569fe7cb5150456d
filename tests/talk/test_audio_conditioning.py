"""Audio conditioning: closed mouth in silence, smoothed lips; and tracks at other frame rates."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dfa_nerfstudio.attributes.attribute_models import MODELS_FILE_NAME, AttributeModels
from dfa_nerfstudio.data.attribute_track import AttributeTrack, FeatureKind
from dfa_nerfstudio.data.dataset_folder import TRACK, DatasetFolder
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
    """A function that returns f_a, the field's audio feature and the closed mouth's feature for audio."""
    models = AttributeModels.load(demo.data / MODELS_FILE_NAME)
    folder, track = DatasetFolder.open(demo.data), AttributeTrack.load(demo.data / TRACK)
    closed_mouth = track.mouth[int(folder.attributes.mouth_opening.argmin())]

    def stream(
        audio: np.ndarray, live: bool = False, **options: object
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        config = AudioConditioningConfig(**options)
        conditioner = AudioConditioner(models, closed_mouth, config, live)
        with torch.no_grad():
            chunks = list(conditioner.stream(np.array_split(audio, 37)))
        return torch.cat([f_a for f_a, _ in chunks]), torch.cat([feature for _, feature in chunks]), closed_mouth

    return stream


@pytest.mark.parametrize("live", [False, True])
def test_the_mouth_closes_in_silence_without_a_jump(demo: PipelineRun, condition, live: bool):
    speech = read_audio(demo.speech)
    audio = np.concatenate([speech, np.zeros(PAUSE, np.float32), speech])
    f_a, feature, closed_mouth = condition(audio, live, smooth_lips=0.0)
    first = int(len(speech) * FRAME_RATE / SAMPLE_RATE)
    pause = slice(first + 8, first + 42)
    assert (feature[pause] - closed_mouth).norm(dim=-1).max() < 1e-4
    _, unchanged, _ = condition(audio, live, smooth_lips=0.0, close_in_silence=False)
    torch.testing.assert_close(unchanged, f_a)
    speaking = (feature - unchanged).norm(dim=-1) < 1e-4
    assert speaking[: first - 5].float().mean() > 0.8, "the mouth is closed during speech"
    steps = feature.diff(dim=0).norm(dim=-1)
    reference = unchanged.diff(dim=0).norm(dim=-1)
    assert steps[first - 5 : first + 60].max() < 1.2 * reference.max()


def test_lips_are_smoothed_and_do_not_lag(demo: PipelineRun, condition):
    f_a, feature, _ = condition(read_audio(demo.speech), smooth_lips=1.0, close_in_silence=False)
    assert feature.diff(n=2, dim=0).norm() < 0.6 * f_a.diff(n=2, dim=0).norm()
    correlation = [float((f_a[5:-5] * feature[5 + lag : len(feature) - 5 + lag]).sum()) for lag in range(-3, 4)]
    assert int(np.argmax(correlation)) == 3, "the smoothed feature lags"


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
    torch.testing.assert_close(resampled.head_to_camera[:, 0, 3], expected, atol=1e-3, rtol=0)
