"""What had been given to the attribute models when a client interrupts is neither heard nor spoken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from dfa_nerfstudio.data.attribute_track import AttributeTrack, FeatureKind
from dfa_nerfstudio.serve.interruption import Interruption
from dfa_nerfstudio.talk.pcm_source import SAMPLES_PER_FRAME


def frame() -> AttributeTrack:
    kind = FeatureKind("lips", 1, "test")
    return AttributeTrack(torch.eye(4)[None], torch.zeros(1, 4), torch.zeros(1, 2), torch.ones(1, 3), kind, kind)


def test_audio_fades_out_and_what_comes_later_is_heard():
    interruption = Interruption(torch.zeros(3))
    ones = np.ones(SAMPLES_PER_FRAME, np.float32)
    assert (interruption.silence(ones, 0) == 1).all()
    interruption.begin(3 * SAMPLES_PER_FRAME + 100)
    heard = np.concatenate([interruption.silence(ones, number * SAMPLES_PER_FRAME) for number in range(1, 5)])
    start = 2 * SAMPLES_PER_FRAME + 100
    assert np.abs(np.diff(heard[:start])).max() < 0.01, "no click"
    assert not heard[200:start].any() and (heard[start:] == 1).all()


def test_the_mouth_closes_without_a_jump_and_opens_again():
    interruption = Interruption(torch.zeros(3))
    still = frame()
    assert interruption.close_mouth(still, 0) is still
    interruption.begin(8 * SAMPLES_PER_FRAME)
    frames = [interruption.close_mouth(replace(still), number) for number in range(1, 16)]
    opening = np.array([1.0, *(float(one.mouth.mean()) for one in frames)])
    assert opening[3:8].max() < 1e-6, "closed while the interrupted audio is silent"
    assert np.abs(np.diff(opening)).max() < 0.34 and opening[-1] == 1
    assert all(torch.equal(one.head_to_camera, still.head_to_camera) for one in frames), "the head moves on"
