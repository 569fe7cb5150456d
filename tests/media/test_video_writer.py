"""Written videos, read back with PyAV: frames, durations, synchrony; and no file is left after a failure."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.video_writer import VideoWriter

RATE = 16_000


def smooth_frames(count: int, height: int, width: int) -> np.ndarray:
    """Moving waves without sharp colour edges, which chroma subsampling (4:2:0) would blur."""
    rows, columns = np.mgrid[:height, :width] / 12
    phases = np.arange(count) / 5
    waves = [np.sin(rows * a + columns * b + phases[:, None, None]) for a, b in ((1, 0.3), (0.2, 1), (0.6, -0.7))]
    return np.uint8(127.5 + 100 * np.stack(waves, -1))


def decode_audio(path: Path) -> tuple[np.ndarray, int]:
    """The decoded samples, and the time of the first one on the video's time axis, in samples."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    first = frames[0]
    assert first.pts is not None and first.time_base is not None
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]), round(first.pts * first.time_base * RATE)


@pytest.mark.parametrize(("fps", "audio_seconds"), [(25, 2.0), (30, 1.437), (30000 / 1001, 2.71)])
def test_frames_and_durations_are_kept(tmp_path: Path, fps: float, audio_seconds: float) -> None:
    frames = smooth_frames(50, 95, 121)  # both odd
    samples = np.sin(np.arange(int(audio_seconds * RATE)) / 10)
    path = tmp_path / "deeper" / "video.mp4"
    with VideoWriter(path, fps, (121, 95), RATE, metadata={"comment": "written by a test"}) as writer:
        for chunk in np.array_split(samples, [100, 20_000]):
            writer.write_audio(chunk)
        for frame in frames:
            writer.write_frame(frame)

    with av.open(str(path)) as container:
        assert container.metadata["comment"] == "written by a test"
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert video.average_rate == pytest.approx(fps)
        assert video.duration * video.time_base == pytest.approx(50 / fps, abs=1e-3)
        assert audio.duration * audio.time_base == pytest.approx(len(samples) / RATE, abs=1e-9)
        decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video)])
    assert decoded.shape == (50, 96, 122, 3)
    error = decoded[:, :95, :121].astype(float) - frames
    assert 10 * np.log10(255**2 / np.mean(error**2)) > 35
    assert list(path.parent.iterdir()) == [path]
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "the index must come first for web players"


def test_click_and_flash_coincide(tmp_path: Path) -> None:
    flash, fps = 37, 25
    samples = np.zeros(3 * RATE)
    samples[flash * RATE // fps] = 1.0
    path = tmp_path / "flash.mp4"
    with VideoWriter(path, fps, (64, 48), RATE) as writer:
        writer.write_audio(samples)
        for index in range(75):
            writer.write_frame(np.full((48, 64, 3), 255 if index == flash else 0, np.uint8))
    with av.open(str(path)) as container:
        bright = [frame.time for frame in container.decode(video=0) if frame.to_ndarray(format="gray").mean() > 128]
    decoded, start = decode_audio(path)
    assert bright == [pytest.approx(flash / fps)]
    assert (np.abs(decoded).argmax() + start) / RATE == pytest.approx(flash / fps, abs=0.002)


def test_audio_and_video_packets_are_interleaved(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    with VideoWriter(path, 25, (32, 32), RATE) as writer:
        writer.write_audio(np.zeros(20 * RATE))
        for _ in range(500):
            writer.write_frame(np.zeros((32, 32, 3), np.uint8))
    with av.open(str(path)) as container:
        times = {"audio": 0.0, "video": 0.0}
        for packet in container.demux():
            if packet.dts is not None:
                times[packet.stream.type] = float(packet.dts * packet.time_base)
                assert abs(times["audio"] - times["video"]) < 2.5, "a player would have to buffer"


def test_a_failure_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    with pytest.raises(KeyError), VideoWriter(path, 25, (32, 32)) as writer:
        writer.write_frame(np.zeros((32, 32, 3), np.uint8))
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    file = tmp_path / "file"
    file.touch()
    for wrong in (file / "video.mp4", tmp_path / "video.avi"):
        with pytest.raises(UserError, match="video"), VideoWriter(wrong, 25, (32, 32)):
            pass
    with pytest.raises(UserError, match="written"), VideoWriter(path, 25, (32, 32), 12_345):
        pass
    assert list(tmp_path.iterdir()) == [file]


def test_a_failure_of_finalize_leaves_no_file(tmp_path: Path) -> None:
    def finalize(path: Path) -> None:
        raise KeyError(path)

    with pytest.raises(KeyError), VideoWriter(tmp_path / "video.mp4", 25, (32, 32), finalize=finalize) as writer:
        writer.write_frame(np.zeros((32, 32, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".webm", ".mov"])
def test_alpha_is_kept(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"video{suffix}"
    frames = np.concatenate([smooth_frames(20, 64, 96), np.zeros((20, 64, 96, 1), np.uint8)], -1)
    frames[:, :, 48:, 3] = 255
    with VideoWriter(path, 25, (96, 64), RATE, transparent=True) as writer:
        writer.write_audio(0.3 * np.sin(np.arange(20 * RATE // 25) / 10))
        for frame in frames:
            writer.write_frame(frame)
    # FFmpeg's own VP9 decoder ignores alpha
    decoder = {".webm": "libvpx-vp9", ".mov": "prores"}[suffix]
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        codec = av.CodecContext.create(decoder, "r")
        codec.extradata = stream.codec_context.extradata
        decoded = [
            frame for packet in container.demux(stream) for frame in codec.decode(packet if packet.size else None)
        ]
        alpha = np.stack([frame.to_ndarray(format="rgba")[..., 3] for frame in decoded])
    assert len(alpha) == 20 and alpha[:, :, :40].max() < 10 and alpha[:, :, 56:].min() > 245
    samples, _ = decode_audio(path)
    assert np.abs(samples).max() > 0.2
    with pytest.raises(UserError, match=r"video.mp4: a transparent video must be named .webm or .mov"):
        VideoWriter(tmp_path / "video.mp4", 25, (96, 64), transparent=True)
