"""Lips in silence, lips that do not tremble, and tracks at other rates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dfa_nerfstudio.attributes.attribute_models import FILE_NAME, AttributeModels
from dfa_nerfstudio.data.attribute_track import AttributeTrack, FeatureKind
from dfa_nerfstudio.data.dataset_folder import TRACK, DatasetFolder
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.rates import SAMPLE_RATE
from dfa_nerfstudio.talk.audio_conditioning import Hearing
from dfa_nerfstudio.talk.frame_renderer import paced
from dfa_nerfstudio.talk.talk_config import HearingConfig
from tests.pipeline_fixture import Walked

PAUSE = 2 * SAMPLE_RATE


@pytest.fixture(scope="module")
def heard_as(demo: Walked):
    """What the field hears of a sound, with the demo subject's models."""
    models = AttributeModels.load(demo.data / FILE_NAME)
    folder, track = DatasetFolder.open(demo.data), AttributeTrack.load(demo.data / TRACK)
    shut = track.audio[int(folder.attributes.mouth_opening.argmin())]

    def hear(
        sound: np.ndarray, live: bool = False, **options: object
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        hearing = Hearing(models, shut, track.audio_kind, HearingConfig(**options), live)
        with torch.no_grad():
            pieces = list(hearing.stream(np.array_split(sound, 37)))
        return torch.cat([f_a for f_a, _ in pieces]), torch.cat([lips for _, lips in pieces]), shut

    return hear


@pytest.mark.parametrize("live", [False, True])
def test_the_mouth_shuts_in_silence_without_a_pop(demo: Walked, heard_as, live: bool):
    said = read_audio(demo.speech)
    sound = np.concatenate([said, np.zeros(PAUSE, np.float32), said])
    f_a, lips, shut = heard_as(sound, live, smooth_lips=0.0)
    first = len(said) // 640
    pause = slice(first + 8, first + 42)
    assert (lips[pause] - shut).norm(dim=-1).max() < 1e-4
    _, open_lips, _ = heard_as(sound, live, smooth_lips=0.0, close_in_silence=False)
    torch.testing.assert_close(open_lips, f_a)
    speaking = (lips - open_lips).norm(dim=-1) < 1e-4
    assert speaking[: first - 5].float().mean() > 0.8, "it shuts while someone speaks"
    steps = lips.diff(dim=0).norm(dim=-1)
    usual = open_lips.diff(dim=0).norm(dim=-1)
    assert steps[first - 5 : first + 60].max() < 1.2 * usual.max()


def test_lips_are_smoothed_and_do_not_lag(demo: Walked, heard_as):
    f_a, lips, _ = heard_as(read_audio(demo.speech), smooth_lips=1.0, close_in_silence=False)
    assert lips.diff(n=2, dim=0).norm() < 0.6 * f_a.diff(n=2, dim=0).norm()
    agreement = [float((f_a[5:-5] * lips[5 + lag : len(lips) - 5 + lag]).sum()) for lag in range(-3, 4)]
    assert int(np.argmax(agreement)) == 3, "it lags"


@pytest.mark.parametrize("fps", [12.5, 25.0, 30.0, 60.0])
def test_a_track_at_another_rate(fps: float, tmp_path: Path):
    frames = 50
    pose = torch.eye(4).repeat(frames, 1, 1)
    pose[:, 0, 3] = torch.arange(frames) / 25  # seconds
    kinds = FeatureKind("eye-blink", 1, "t"), FeatureKind("synchronised-audio", 1, "t")
    whole = AttributeTrack(pose, torch.zeros(frames, 4), torch.zeros(frames, 2), torch.zeros(frames, 3), *kinds)
    pieces = [whole[slice(0, 1)], whole[slice(1, 9)], whole[slice(9, 50)]]
    made = AttributeTrack.join(paced(pieces, fps))
    assert len(made) == round(2 * fps) and made.fps == fps
    expected = (torch.arange(len(made)) / fps).clamp(max=49 / 25)
    torch.testing.assert_close(made.head_to_camera[:, 0, 3], expected, atol=1e-3, rtol=0)
