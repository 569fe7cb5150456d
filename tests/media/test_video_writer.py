"""What is written is read back with PyAV: pictures, lengths, synchrony, and nothing left behind by a failure."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.video_writer import VideoWriter

RATE = 16_000


def smooth_frames(count: int, height: int, width: int) -> np.ndarray:
    """Moving waves, without the sharp colour edges that 4:2:0 blurs."""
    rows, columns = np.mgrid[:height, :width] / 12
    phases = np.arange(count) / 5
    waves = [np.sin(rows * a + columns * b + phases[:, None, None]) for a, b in ((1, 0.3), (0.2, 1), (0.6, -0.7))]
    return np.uint8(127.5 + 100 * np.stack(waves, -1))


def sound_of(path: Path) -> tuple[np.ndarray, int]:
    """The decoded samples and the index of the first one on the time axis of the picture."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    first = frames[0]
    assert first.pts is not None and first.time_base is not None
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]), round(first.pts * first.time_base * RATE)


@pytest.mark.parametrize(("fps", "seconds_of_sound"), [(25, 2.0), (30, 1.437), (30000 / 1001, 2.71)])
def test_pictures_and_lengths_survive(tmp_path: Path, fps: float, seconds_of_sound: float) -> None:
    frames = smooth_frames(50, 95, 121)  # both odd
    sound = np.sin(np.arange(int(seconds_of_sound * RATE)) / 10)
    path = tmp_path / "deeper" / "film.mp4"
    with VideoWriter(path, fps, (121, 95), RATE, metadata={"comment": "made by a test"}) as writer:
        for piece in np.array_split(sound, [100, 20_000]):
            writer.hear(piece)
        for frame in frames:
            writer.write(frame)

    with av.open(str(path)) as container:
        assert container.metadata["comment"] == "made by a test"
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert video.average_rate == pytest.approx(fps)
        assert video.duration * video.time_base == pytest.approx(50 / fps, abs=1e-3)
        assert audio.duration * audio.time_base == pytest.approx(len(sound) / RATE, abs=1e-9)
        back = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video)])
    assert back.shape == (50, 96, 122, 3)
    error = back[:, :95, :121].astype(float) - frames
    assert 10 * np.log10(255**2 / np.mean(error**2)) > 35
    assert list(path.parent.iterdir()) == [path]
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "the index comes first, for players on the web"


def test_click_and_flash_coincide(tmp_path: Path) -> None:
    flash, fps = 37, 25
    sound = np.zeros(3 * RATE)
    sound[flash * RATE // fps] = 1.0
    path = tmp_path / "flash.mp4"
    with VideoWriter(path, fps, (64, 48), RATE) as writer:
        writer.hear(sound)
        for index in range(75):
            writer.write(np.full((48, 64, 3), 255 if index == flash else 0, np.uint8))
    with av.open(str(path)) as container:
        seen = [frame.time for frame in container.decode(video=0) if frame.to_ndarray(format="gray").mean() > 128]
    decoded, start = sound_of(path)
    assert seen == [pytest.approx(flash / fps)]
    assert (np.abs(decoded).argmax() + start) / RATE == pytest.approx(flash / fps, abs=0.002)


def test_audio_and_video_packets_are_interleaved(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    with VideoWriter(path, 25, (32, 32), RATE) as writer:
        writer.hear(np.zeros(20 * RATE))
        for _ in range(500):
            writer.write(np.zeros((32, 32, 3), np.uint8))
    with av.open(str(path)) as container:
        times = {"audio": 0.0, "video": 0.0}
        for packet in container.demux():
            if packet.dts is not None:
                times[packet.stream.type] = float(packet.dts * packet.time_base)
                assert abs(times["audio"] - times["video"]) < 2.5, "a player would have to buffer"


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    with pytest.raises(KeyError), VideoWriter(path, 25, (32, 32)) as writer:
        writer.write(np.zeros((32, 32, 3), np.uint8))
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    file = tmp_path / "file"
    file.touch()
    for wrong in (file / "film.mp4", tmp_path / "film.avi"):
        with pytest.raises(UserError, match="film"), VideoWriter(wrong, 25, (32, 32)):
            pass
    with pytest.raises(UserError, match="written"), VideoWriter(path, 25, (32, 32), 12_345):
        pass
    assert list(tmp_path.iterdir()) == [file]


def test_failure_to_complete_leaves_nothing(tmp_path: Path) -> None:
    def complete(path: Path) -> None:
        raise KeyError(path)

    with pytest.raises(KeyError), VideoWriter(tmp_path / "film.mp4", 25, (32, 32), complete=complete) as writer:
        writer.write(np.zeros((32, 32, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".webm", ".mov"])
def test_what_is_transparent_stays_so(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"film{suffix}"
    frames = np.concatenate([smooth_frames(20, 64, 96), np.zeros((20, 64, 96, 1), np.uint8)], -1)
    frames[:, :, 48:, 3] = 255
    with VideoWriter(path, 25, (96, 64), RATE, transparent=True) as writer:
        writer.hear(0.3 * np.sin(np.arange(20 * RATE // 25) / 10))
        for frame in frames:
            writer.write(frame)
    # FFmpeg's own VP9 decoder leaves alpha out
    decoder = {".webm": "libvpx-vp9", ".mov": "prores"}[suffix]
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoding = av.CodecContext.create(decoder, "r")
        decoding.extradata = stream.codec_context.extradata
        back = [
            frame for packet in container.demux(stream) for frame in decoding.decode(packet if packet.size else None)
        ]
        alpha = np.stack([frame.to_ndarray(format="rgba")[..., 3] for frame in back])
    assert len(alpha) == 20 and alpha[:, :, :40].max() < 10 and alpha[:, :, 56:].min() > 245
    sound, _ = sound_of(path)
    assert np.abs(sound).max() > 0.2
    with pytest.raises(UserError, match=r"film.mp4: what is transparent must be named .webm or .mov"):
        VideoWriter(tmp_path / "film.mp4", 25, (96, 64), transparent=True)
