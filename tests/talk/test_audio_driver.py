"""An audio driver needs no more memory for longer audio."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import numpy as np
import torch

from dfa_nerfstudio.attributes.motion_config import MotionConfig
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.rates import FRAME_RATE, SAMPLE_RATE
from dfa_nerfstudio.talk.audio_driver import AudioDriver
from dfa_nerfstudio.talk.load_model import load_model
from tests.pipeline_fixture import PipelineRun


def test_nothing_of_the_audio_is_kept(demo: PipelineRun) -> None:
    speech, chunks, kept = read_audio(demo.speech), list[weakref.ref[np.ndarray]](), list[tuple[int, int]]()

    def audio() -> Iterator[np.ndarray]:
        for start in range(0, 24 * SAMPLE_RATE, SAMPLE_RATE // 10):
            if start % SAMPLE_RATE == 0:
                tensors = sum(type(one) is torch.Tensor for one in gc.get_objects())
                kept.append((tensors, sum(chunk() is not None for chunk in chunks)))
            chunk = np.take(speech, range(start, start + SAMPLE_RATE // 10), mode="wrap")
            chunks.append(weakref.ref(chunk))
            yield chunk

    for _ in AudioDriver(load_model(demo.config), MotionConfig(), live=True).stream(audio()):
        pass
    early, late = np.min(kept[3:9], 0), np.min(kept[-6:], 0)  # the speech encoder reads blocks of seconds
    num_frames, num_chunks = 15 * FRAME_RATE, 15 * 10
    assert (late - early < [0.5 * num_frames, 0.5 * num_chunks]).all(), kept
