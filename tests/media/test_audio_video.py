"""Decoded frames and audio have one time axis, whatever the rates of the source."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.audio import read_audio, write_wav
from dfa_nerfstudio.media.mfcc import mfcc
from dfa_nerfstudio.media.video_reader import Video, to_rgb
from tests.preprocessing.conftest import write_clip

NTSC = Fraction(30_000, 1001)


def counting_frames(count: int) -> list[np.ndarray]:
    """Frames whose grey value is their number."""
    return [np.full((64, 96, 3), number, np.uint8) for number in range(count)]


def click(seconds: float, at: float, rate: int) -> np.ndarray:
    """Silence but for 2 ms of noise at `at` seconds."""
    audio = np.zeros(round(seconds * rate), np.float32)
    start = round(at * rate)
    audio[start : start + rate // 500] = np.random.default_rng(0).uniform(-0.9, 0.9, rate // 500)
    return audio


@pytest.mark.parametrize("rate", [25, NTSC, Fraction(25, 2), 50])
def test_each_frame_is_the_nearest_source_frame(tmp_path: Path, rate: Fraction | int) -> None:
    source = counting_frames(round(4 * rate))
    video = Video(write_clip(tmp_path / "count.mkv", source, rate))
    source_numbers = [int(to_rgb(frame)[32, 48, 0]) for frame in video.frames()]
    assert abs(len(source_numbers) - 25 * len(source) / rate) <= 1
    times = np.array([float(number / rate) for number in range(len(source))])
    for number, source_number in enumerate(source_numbers):
        assert (
            abs(times[source_number] - number / 25) <= np.abs(times - number / 25).min() + 1.1e-3
        )  # Matroska counts in ms


def test_frames_are_rotated_by_the_display_matrix(tmp_path: Path) -> None:
    image = np.zeros((64, 96, 3), np.uint8)
    image[:, :48] = 200  # bright on the left
    upright = to_rgb(next(Video(write_clip(tmp_path / "rotated.mp4", [image] * 5, rotation=90)).frames()))
    assert upright.shape == (96, 64, 3)
    assert float(upright[56:].mean()) - float(upright[:40].mean()) > 150  # rotated counter-clockwise: now at the bottom


@pytest.mark.parametrize(
    ("name", "rate", "sample_rate", "delay"),
    [
        ("plain.mkv", 25, 16_000, 0.0),
        ("ntsc.mkv", NTSC, 48_000, 0.0),
        ("late.mkv", 25, 44_100, 0.5),
        ("ntsc.mp4", NTSC, 44_100, 0.0),
        ("late.mp4", 25, 48_000, 0.25),
    ],
)
def test_a_click_is_at_its_mfcc_row(
    tmp_path: Path, name: str, rate: Fraction | int, sample_rate: int, delay: float
) -> None:
    at = 1.6
    path = write_clip(
        tmp_path / name,
        counting_frames(round(3 * rate)),
        rate,
        click(3 - delay, at - delay, sample_rate),
        sample_rate,
        delay,
    )
    audio = read_audio(path)
    assert audio.dtype == np.float32
    peak = np.abs(audio).argmax() / 16_000
    assert abs(peak - at - 0.001) < 0.003
    features = mfcc(audio, 75)
    assert features.shape == (300, 26) and features.dtype == np.float32
    loudest = features[:, 0].argmax()
    assert abs(loudest - 100 * (at + 0.001)) <= 1.0


def test_wav_round_trip(tmp_path: Path) -> None:
    audio = np.sin(np.arange(16_000) * 0.05).astype(np.float32) * 0.7
    write_wav(tmp_path / "tone.wav", audio)
    assert read_audio(tmp_path / "tone.wav") == pytest.approx(audio, abs=1e-4)


def test_files_without_audio_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("not audio")
    (tmp_path / "empty.wav").touch()
    write_wav(tmp_path / "nothing.wav", np.zeros(0, np.float32))
    video_only = write_clip(tmp_path / "video.mkv", counting_frames(5))
    for path in (
        tmp_path / "none.wav",
        tmp_path / "text.wav",
        tmp_path / "empty.wav",
        tmp_path / "nothing.wav",
        video_only,
    ):
        with pytest.raises(UserError, match=path.name):
            read_audio(path)
