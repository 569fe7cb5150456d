"""Eye and mouth opening, blinks and voice activity against the demo subject's truth, word times and made-up curves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dfa_nerfstudio.data.dataset_folder import DatasetFolder
from dfa_nerfstudio.demo.speech import make_speech
from dfa_nerfstudio.face.eye_aperture import find_blinks, steadied
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.timeline import Timeline
from dfa_nerfstudio.media.vad import SILENCE, loudness
from dfa_nerfstudio.preprocessing.audio_attributes import sound_attributes
from dfa_nerfstudio.preprocessing.process_config import ProcessConfig
from dfa_nerfstudio.preprocessing.process_video import process_video
from tests.conftest import CLIPS, needs_clips


def lids(length: int, *dips: tuple[int, int, float]) -> np.ndarray:
    """Opening of one eye, 0.9 at rest: falls to `low` in 2 frames before `first`, stays for `frames`, rises in 3."""
    frames, opening = np.arange(length), np.full(length, 0.9)
    for first, count, low in dips:
        shape = np.interp(frames, [first - 3, first - 1, first + count, first + count + 3], [0.9, low, low, 0.9])
        opening = np.minimum(opening, shape)
    return opening


def test_what_is_a_blink() -> None:
    left = lids(500, (50, 2, 0.05), (58, 1, 0.1), (100, 3, 0.6), (150, 30, 0.0), (220, 2, 0.1), (300, 40, 0.4))
    right = lids(500, (50, 2, 0.05), (58, 1, 0.1), (100, 3, 0.6), (150, 30, 0.0), (300, 40, 0.4))
    both = lids(500, (320, 2, 0.05), (400, 2, 0.05), (449, 2, 0.05), (497, 2, 0.0))
    opening = np.stack([np.minimum(left, both), np.minimum(right, both)], -1)
    found = np.ones(500, bool)
    timeline = Timeline.of(500, 450, cuts=[401])
    # two, one soon after the other; one from half-closed eyes; one over the border of the training part. None are a
    # twitch, closed eyes, a wink, a squint, what a cut divides and what the clip's end cuts off.
    blinks = find_blinks(opening, found, timeline) * 25
    np.testing.assert_allclose(blinks[:, 1], [50, 58, 320, 449], atol=1)
    assert (blinks[:, 0] < blinks[:, 1]).all() and (blinks[:, 1] < blinks[:, 2]).all()
    assert (blinks[1:, 0] >= blinks[:-1, 2]).all()
    assert (np.abs(blinks[0] - [47, 50, 55]) < 1.5).all()
    found[48:53] = False
    assert len(find_blinks(opening, found, timeline)) == 3
    # what is found before the border does not depend on what comes after it, but for the blink across
    opening[460:] = 0.0
    np.testing.assert_array_equal(find_blinks(opening, found, timeline)[:2], blinks[1:3] / 25)


def test_steadied_lids_keep_their_blinks() -> None:
    truth = lids(400, *((first, 2, 0.1) for first in range(40, 400, 60)))
    noise = np.random.default_rng(0).normal(0, 0.02, 400)
    result = steadied(truth + noise, 0.04, 0.002)
    rest = truth == 0.9
    assert (result - truth)[rest].std() < 0.5 * noise[rest].std()
    assert np.abs((result - truth)[~rest]).max() < 0.12


@pytest.fixture(scope="module")
def demo(demo_clip: tuple[Path, dict], tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    output = tmp_path_factory.mktemp("eyes") / "demo"
    process_video(demo_clip[0], output, ProcessConfig(size=64))
    return DatasetFolder.open(output)


def test_eyes_mouth_and_blinks_follow_the_truth(demo: DatasetFolder, demo_clip: tuple[Path, dict]) -> None:
    truth, found = demo_clip[1], demo.attributes
    for eye in range(2):
        assert np.corrcoef(found.eye_opening[:, eye], truth["eye_opening"][:, eye])[0, 1] > 0.97
    assert np.corrcoef(found.mouth_opening, truth["mouth_opening"])[0, 1] > 0.94
    assert len(truth["blinks"]) == len(found.blinks) > 2
    assert np.abs(found.blinks - truth["blinks"]).max(0) == pytest.approx([0, 0, 0], abs=0.09)


def test_loudness_is_in_decibel_of_full_scale() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000).astype(np.float32)
    level = loudness(np.concatenate([0 * tone, tone, 0.1 * tone]), 300)
    assert level.shape == (300,)
    assert level[50] == SILENCE
    assert level[[150, 250]] == pytest.approx([-3.01, -23.01], abs=0.05)


def words_of(path: Path, rows: int) -> np.ndarray:
    """From a GRID alignment: true in the 10 ms rows of a word."""
    times, spoken = np.arange(rows) * 0.01, np.zeros(rows, bool)
    for line in path.read_text().splitlines():
        start, end, word = line.split()
        if word not in ("sil", "sp"):
            spoken |= (times >= int(start) / 25_000) & (times < int(end) / 25_000)
    return spoken


def with_noise(audio: np.ndarray, spoken: np.ndarray, decibel: float) -> np.ndarray:
    """Adds pink noise so many dB below the speech."""
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(len(audio)))
    spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(len(audio), 1 / 16_000), 50))
    noise = np.fft.irfft(spectrum, len(audio))
    power = np.mean(audio[np.repeat(spoken, 160)] ** 2)
    return (audio + noise * np.sqrt(power / np.mean(noise**2)) * 10 ** (-decibel / 20)).astype(np.float32)


def test_voice_activity_on_speech_with_known_phonemes() -> None:
    speech = make_speech(24.0, seed=5)
    times, spoken = np.arange(2400) * 0.01, np.zeros(2400, bool)
    for phoneme in speech.phonemes:
        if not phoneme.label.startswith("_"):
            spoken |= (times >= phoneme.start) & (times < phoneme.end)
    for audio in (speech.samples, with_noise(speech.samples, spoken, 15)):
        voice = sound_attributes(audio, 600, 540)["voice"]
        assert np.mean(voice == spoken) > 0.94
        assert np.mean(voice[~spoken]) < 0.3
        other = np.concatenate([audio[: 540 * 640], 0.5 * audio[: 60 * 640]])
        np.testing.assert_array_equal(sound_attributes(other, 600, 540)["voice"][:2160], voice[:2160])


@needs_clips
def test_voice_activity_on_words() -> None:
    # Of the alignments in which the first word does not begin with the silence before it.
    files = sorted((CLIPS / "grid_s1").glob("b*.align"))[:8]
    audio, spoken = [], []
    for path in files:
        audio.append(read_audio(path.with_suffix(".mp4"))[: 72 * 640])
        spoken.append(words_of(path, 288))
    sound, truth = np.concatenate(audio), np.concatenate(spoken)
    frames = len(truth) // 4
    for recording in (sound, with_noise(sound, truth, 10)):
        assert np.mean(sound_attributes(recording, frames, frames - 50)["voice"] == truth) > 0.94
