"""Files as users bring them: joined recordings, pauses, wrong clocks, several tracks, channels that cancel."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.audio_selection import find_speech
from dfa_nerfstudio.media.video_reader import Video, to_rgb
from tests.media.test_audio_video import click, counting_frames

RATE = 48_000


def write_file(
    path: Path,
    frame_times: np.ndarray,
    tracks: list[np.ndarray],
    clock: float = 1.0,
) -> Path:
    """Writes numbered frames at these times in seconds, and audio tracks [C, S] at 48 kHz whose samples come `clock`
    times as fast as the time stamps say."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4" if path.suffix == ".ts" else "ffv1", rate=25)
        video.height, video.width, video.pix_fmt = 64, 96, "yuv420p" if path.suffix == ".ts" else "bgr0"
        layouts = ["stereo" if len(track) == 2 else "mono" for track in tracks]
        codec = "mp2" if path.suffix == ".ts" else "pcm_s16le"
        streams = [container.add_stream(codec, rate=RATE, layout=layout) for layout in layouts]
        for image, time in zip(counting_frames(len(frame_times)), frame_times, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(time * 25), Fraction(1, 25)
            container.mux(video.encode(frame))
        for stream, track, layout in zip(streams, tracks, layouts, strict=True):
            for start in range(0, track.shape[1], 1152):
                samples = np.round(track[:, start : start + 1152].T.reshape(1, -1) * 32767).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="s16", layout=layout)
                frame.sample_rate, frame.pts, frame.time_base = RATE, round(start / clock), Fraction(1, RATE)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        container.mux(video.encode(None))
    return path


def mono(seconds: float, at: float) -> np.ndarray:
    return click(seconds, at, RATE)[None]


def numbers(video: Video) -> list[int]:
    return [int(np.median(to_rgb(frame))) for frame in video.frames()]


def test_joined_recordings_are_read_whole(tmp_path: Path) -> None:
    times = np.arange(75) / 25
    one, two = (write_file(tmp_path / f"{n}.ts", times, [mono(3, 1 + n)]).read_bytes() for n in (0, 1))
    path = tmp_path / "joined.ts"
    path.write_bytes(one + two)
    video, audio = Video(path), read_audio(path)
    shown = np.array(numbers(video))
    assert abs(len(shown) - 150) <= 2
    second = len(shown) - 75  # the first frame of the second recording
    assert abs(np.median(shown[second:] - np.arange(75))) <= 1  # MPEG-4 changes grey values a little
    peaks = [np.abs(audio[:48_000]).argmax() / 16_000, 3 + np.abs(audio[48_000:]).argmax() / 16_000]
    assert abs(peaks[0] - 1) < 0.03 and abs(peaks[1] - second / 25 - 2) < 0.04
    assert any("time stamps restart at 3." in warning for warning in video.warnings)


def test_a_pause_in_the_video_is_known(tmp_path: Path) -> None:
    times = np.r_[np.arange(50), 50 + 75 + np.arange(50)] / 25  # 3 s are missing
    video = Video(write_file(tmp_path / "pause.mkv", times, [mono(7, 6)]))
    shown = numbers(video)
    assert len(shown) == 175 and video.pauses == [range(50, 125)]
    assert shown[49] == 49 and shown[125] == 50
    far = Video(write_file(tmp_path / "far.mkv", np.r_[0, 1, 40_000] / 25, []))
    with pytest.raises(UserError, match=r"far\.mkv: its time stamps jump by 1600 s at 0\.0 s"):
        numbers(far)


@pytest.mark.parametrize("clock", [1.01, 0.99])
def test_a_wrong_audio_clock_is_corrected(tmp_path: Path, clock: float) -> None:
    audio = mono(12 * clock, 10 * clock)
    path = write_file(tmp_path / "clock.mkv", np.arange(300) / 25, [audio], clock)
    source = find_speech(path)
    assert source.speed == pytest.approx(clock, abs=2e-4) and "% off the time stamps" in source.notes[0]
    decoded = read_audio(path)
    assert abs(np.abs(decoded).argmax() / 16_000 - 10) < 0.01
    assert abs(len(decoded) / 16_000 - 12) < 0.05


def test_the_track_with_speech_is_used(tmp_path: Path, speech: np.ndarray) -> None:
    loud = np.interp(np.arange(6 * RATE) / 3, np.arange(6 * 16_000), speech[: 6 * 16_000])[None]
    hum = 0.3 * np.sin(np.arange(6 * RATE) * 2 * np.pi * 50 / RATE)[None]
    path = write_file(tmp_path / "tracks.mkv", np.arange(150) / 25, [hum, 0 * hum, loud])
    source = find_speech(path)
    assert source.track == 2 and "track 3 has the most speech" in source.notes[0]
    assert np.corrcoef(read_audio(path)[16_000:80_000], speech[16_000:80_000])[0, 1] > 0.99
    chosen = find_speech(path, track=1)
    assert chosen.track == 0 and not chosen.notes
    assert np.abs(read_audio(path, chosen)).max() == pytest.approx(0.3, abs=0.01)
    with pytest.raises(UserError, match=r"has 3 audio tracks; `audio_track=4` is not one of them"):
        find_speech(path, track=4)


def test_channels_that_cancel_are_not_mixed(tmp_path: Path) -> None:
    left = mono(3, 1.5)
    path = write_file(tmp_path / "antiphase.mkv", np.arange(75) / 25, [np.r_[left, -left]])
    assert "channels cancel each other; channel 1" in find_speech(path).notes[0]
    assert abs(np.abs(read_audio(path)).argmax() / 16_000 - 1.5) < 0.003
    one_side = write_file(tmp_path / "left.mkv", np.arange(75) / 25, [np.r_[left, 0 * left]])
    assert find_speech(one_side).channel is None


def test_frames_have_the_size_of_most(tmp_path: Path) -> None:
    parts = []
    for height, width, seconds in ((64, 96, 2), (128, 192, 4)):
        path = tmp_path / f"{width}.ts"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=25)
            stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
            for number in range(25 * seconds):
                frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 2 * number, np.uint8), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        parts.append(path.read_bytes())
    (tmp_path / "growing.ts").write_bytes(b"".join(parts))
    video = Video(tmp_path / "growing.ts")
    assert {(frame.width, frame.height) for frame in video.frames()} == {(192, 128)}
    assert any("resized to 192x128, the size of most of them" in warning for warning in video.warnings)


def test_names_like_addresses_and_low_frame_rates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = Path("take1:final.mkv")
    write_file(tmp_path / "plain.mkv", np.arange(0, 50, 4) / 25, [mono(2, 1)]).rename(tmp_path / name)
    video = Video(name)
    assert len(numbers(video)) > 45 and len(read_audio(name)) == 2 * 16_000
    assert not video.pauses and any("only 6.25 frames/s" in warning for warning in video.warnings)
