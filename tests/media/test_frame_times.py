"""What is measured in images at 24 or 30 frames/s moves as smoothly as at 25."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dfa_nerfstudio.media.frame_times import FrameTimes
from dfa_nerfstudio.media.video_reader import Video
from tests.preprocessing.conftest import write_clip

NUM_FRAMES, CUT = 100, 60
SEGMENTS = (slice(0, CUT), slice(CUT, 95))


def nearest_times(rate: float) -> FrameTimes:
    """Times of the images that are nearest to the frames, of a source with `rate` frames/s."""
    source = np.arange(NUM_FRAMES * rate / 25 + 1) / rate * 25
    frames = np.arange(NUM_FRAMES)
    return FrameTimes(source[np.abs(source - frames[:, None]).argmin(1)])


def motion(frames: np.ndarray) -> np.ndarray:
    """A smooth motion of two channels with a jump at the cut; up to 3 Hz."""
    slow = np.sin(2 * np.pi * 1.1 * frames / 25) + 0.3 * np.sin(2 * np.pi * 3 * frames / 25 + 1)
    return np.stack([slow, np.where(np.arange(NUM_FRAMES) < CUT, 0, 50) + 2 * slow], -1)


def jerkiness(values: np.ndarray) -> float:
    """Root mean square of the second differences within the segments."""
    return float(np.sqrt(np.concatenate([np.diff(values[segment], 2, axis=0) ** 2 for segment in SEGMENTS]).mean()))


@pytest.mark.parametrize("rate", [24.0, 30.0, 60.0, 29.97])
def test_values_of_images_become_values_of_frames(rate: float) -> None:
    times, truth = nearest_times(rate), motion(np.arange(NUM_FRAMES))
    measured = motion(times.frames)
    found = times.to_frames(measured, SEGMENTS)
    assert jerkiness(measured) > 1.1 * jerkiness(truth)
    assert jerkiness(found) == pytest.approx(jerkiness(truth), rel=0.05)
    inner = np.r_[2 : CUT - 2, CUT + 2 : 93]  # beyond the outer images of a segment nothing is known
    assert np.abs(found - truth)[inner].max() < 0.01
    assert np.abs(times.to_images(truth, SEGMENTS) - measured)[inner].max() < 0.01
    assert np.array_equal(found[95:], measured[95:])  # outside every segment
    clamped = times.within(SEGMENTS).frames
    assert clamped[CUT - 1] <= CUT - 1 and clamped[CUT] >= CUT


def test_images_whose_value_is_unknown_are_interpolated() -> None:
    times, truth = nearest_times(30.0), motion(np.arange(NUM_FRAMES))
    measured, known = motion(times.frames), np.ones(NUM_FRAMES, bool)
    known[20:23] = False
    measured[20:23] = np.nan
    found = times.to_frames(measured, SEGMENTS, known)
    assert np.abs(found - truth)[:CUT].max() < 0.2 and np.isfinite(found).all()


def test_images_at_25_frames_per_second_are_left_as_they_are() -> None:
    values = np.random.default_rng(0).random((NUM_FRAMES, 3))
    times = FrameTimes(np.arange(NUM_FRAMES) + np.random.default_rng(1).uniform(-0.02, 0.02, NUM_FRAMES))
    assert times.to_frames(values, SEGMENTS) is values and times.to_images(values, SEGMENTS) is values


@pytest.mark.parametrize("rate", [24, 30, 50, Fraction(60_000, 1001)])
def test_a_video_states_when_its_images_were_recorded(tmp_path: Path, rate: Fraction | int) -> None:
    images = [np.full((64, 96, 3), number, np.uint8) for number in range(round(2 * rate))]
    video = Video(write_clip(tmp_path / "count.mkv", images, rate))
    numbers = [int(frame.to_ndarray(format="rgb24")[32, 48, 0]) for frame in video.frames()]
    assert list(video.frames()) and len(video.frame_times) == len(numbers)  # a second pass adds none
    np.testing.assert_allclose(video.frame_times, np.array(numbers) / float(rate), atol=1.1e-3)
