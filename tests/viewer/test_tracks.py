"""The sound that the page is handed."""

from __future__ import annotations

import base64
import re

import numpy as np
import torch

from dfa_nerfstudio.data.attribute_track import AttributeTrack, FeatureKind
from dfa_nerfstudio.data.audio import read_audio
from dfa_nerfstudio.data.dataset_folder import SAMPLE_RATE
from dfa_nerfstudio.demo.speech import driving_sentence
from dfa_nerfstudio.viewer.tracks import Playable


def test_the_page_hears_what_is_said_when_it_is_said(tmp_path):
    sound = driving_sentence().samples[: 4 * SAMPLE_RATE]
    kinds = FeatureKind("eye-blink", 1, "t"), FeatureKind("synchronised-audio", 1, "t")
    track = AttributeTrack(torch.eye(4).repeat(100, 1, 1), *(torch.zeros(100, n) for n in (4, 3, 6)), *kinds)
    playable = Playable("speech", track, sound)
    data = re.findall(r"base64,([^\"]+)", playable.player)[0]
    (tmp_path / "heard.mp3").write_bytes(base64.b64decode(data))
    heard = read_audio(tmp_path / "heard.mp3")
    reach = SAMPLE_RATE // 10
    likeness = np.correlate(np.pad(sound, reach), heard[: len(sound)], "valid")
    assert abs(int(likeness.argmax()) - reach) < SAMPLE_RATE // 100, "it is not in step"
    assert likeness.max() > 0.8 * np.square(sound).sum(), "it is not the same"
