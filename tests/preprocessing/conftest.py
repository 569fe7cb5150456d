"""Clips to process: a real one, if the shared clips are present, and clips written by tests."""

from __future__ import annotations

import signal
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

# A background job of a shell ignores SIGINT, and so would every process that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

REAL_CLIP = Path(__file__).parents[2] / "../shared/clips/acosta_71s.mp4"


def write_clip(
    path: Path,
    frames: np.ndarray | list[np.ndarray],
    rate: Fraction | int = 25,
    audio: np.ndarray | None = None,
    sample_rate: int = 16_000,
    audio_delay: float = 0.0,
    rotation: int = 0,
) -> Path:
    """Writes a clip: lossless (FFV1 and PCM) if the name ends in mkv, MPEG-4 and AAC if in mp4."""
    lossless = path.suffix == ".mkv"
    with av.open(str(path), "w") as container:
        video_stream = container.add_stream("ffv1" if lossless else "mpeg4", rate=rate)
        video_stream.height, video_stream.width = frames[0].shape[:2]
        video_stream.pix_fmt = "bgr0" if lossless else "yuv420p"
        if not lossless:
            video_stream.bit_rate = 4_000_000
        if rotation:
            video_stream.set_display_rotation(rotation)
        audio_stream = (
            container.add_stream("pcm_s16le" if lossless else "aac", rate=sample_rate) if audio is not None else None
        )
        if audio_stream is not None and audio is not None:
            audio_stream.layout = "mono"
            for start in range(0, len(audio), 1024):
                chunk = np.round(audio[None, start : start + 1024] * 32767).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(chunk, format="s16", layout="mono")
                frame.sample_rate, frame.time_base = sample_rate, Fraction(1, sample_rate)
                frame.pts = start + round(audio_delay * sample_rate)
                container.mux(audio_stream.encode(frame))
            container.mux(audio_stream.encode(None))
        for image in frames:
            container.mux(video_stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video_stream.encode(None))
    return path


def decode(path: Path) -> list[np.ndarray]:
    """Decodes all frames, [H, W, 3] each."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.fixture(scope="session")
def real_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Path of the first four seconds of a real clip, copied without transcoding."""
    if not REAL_CLIP.is_file():
        pytest.skip("the real clips (../shared/clips) are not here")
    path = tmp_path_factory.mktemp("real") / "real.mp4"
    with av.open(str(REAL_CLIP)) as source, av.open(str(path), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None and float(packet.pts * packet.time_base) < 4.0:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    return path
