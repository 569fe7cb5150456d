"""The audio player: the mp3 that the page receives, and the commands that control it."""

from __future__ import annotations

import base64
from types import SimpleNamespace

import numpy as np

from dfa_nerfstudio.demo.speech import driving_sentence
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.rates import SAMPLE_RATE
from dfa_nerfstudio.viewer.audio_player import AudioPlayer, encode_mp3


def test_the_mp3_is_the_audio_without_delay(tmp_path):
    audio = driving_sentence().samples[: 4 * SAMPLE_RATE]
    (tmp_path / "page.mp3").write_bytes(base64.b64decode(encode_mp3(audio)))
    decoded = read_audio(tmp_path / "page.mp3")
    max_lag = SAMPLE_RATE // 10
    correlation = np.correlate(np.pad(audio, max_lag), decoded[: len(audio)], "valid")
    assert abs(int(correlation.argmax()) - max_lag) < SAMPLE_RATE // 100, "it is delayed"
    assert correlation.max() > 0.8 * np.square(audio).sum(), "it is other audio"


def test_the_audio_is_sent_once_and_controlled_by_short_commands():
    elements = []
    player = AudioPlayer(SimpleNamespace(add_markdown=lambda _: elements.append(SimpleNamespace()) or elements[-1]))
    audio_element, command_element = elements
    player.load(np.zeros(SAMPLE_RATE, np.float32))
    sent, loaded = audio_element.content, command_element.content
    assert "currentTime = 0.00" in loaded and "pause()" in loaded
    player.seek(1.5, playing=True)
    playing = command_element.content
    assert audio_element.content is sent and len(playing) < 500
    assert "currentTime = 1.50" in playing and "play()" in playing
    player.seek(1.5, playing=False)
    assert "pause()" in command_element.content and "play()" not in command_element.content
    player.seek(1.5, playing=True)
    assert command_element.content != playing, "the page would not run the same command again"
