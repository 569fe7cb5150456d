"""The sound that the page is handed, and what it is told."""

from __future__ import annotations

import base64
from types import SimpleNamespace

import numpy as np

from dfa_nerfstudio.demo.speech import driving_sentence
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.rates import SAMPLE_RATE
from dfa_nerfstudio.viewer.audio_player import Sound, mp3


def test_the_page_hears_what_is_said_when_it_is_said(tmp_path):
    said = driving_sentence().samples[: 4 * SAMPLE_RATE]
    (tmp_path / "heard.mp3").write_bytes(base64.b64decode(mp3(said)))
    heard = read_audio(tmp_path / "heard.mp3")
    reach = SAMPLE_RATE // 10
    likeness = np.correlate(np.pad(said, reach), heard[: len(said)], "valid")
    assert abs(int(likeness.argmax()) - reach) < SAMPLE_RATE // 100, "it is not in step"
    assert likeness.max() > 0.8 * np.square(said).sum(), "it is not the same"


def test_the_sound_is_sent_once_and_told_what_to_do():
    elements = []
    sound = Sound(SimpleNamespace(add_markdown=lambda _: elements.append(SimpleNamespace()) or elements[-1]))
    player, word = elements
    sound.load(np.zeros(SAMPLE_RATE, np.float32))
    sent, first = player.content, word.content
    sound.stand(1.5, True)
    assert player.content is sent and len(word.content) < 500
    assert "currentTime = 1.50" in word.content and "play()" in word.content and word.content != first
    sound.stand(1.5, False)
    assert "pause()" in word.content and "play()" not in word.content
