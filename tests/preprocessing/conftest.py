"""Clips to process: the demo subject with its ground truth, a real one where it lies at hand, and written ones."""

from __future__ import annotations

import signal
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dfa_nerfstudio.demo.make_clip import ClipConfig, make_clip, truth_path

# The background job of a shell ignores it, and so would every process that the tests start in order to interrupt it.
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
    """A clip without loss (FFV1 and PCM) where the name ends in mkv, MPEG-4 and AAC where in mp4."""
    lossless = path.suffix == ".mkv"
    with av.open(str(path), "w") as container:
        picture = container.add_stream("ffv1" if lossless else "mpeg4", rate=rate)
        picture.height, picture.width = frames[0].shape[:2]
        picture.pix_fmt = "bgr0" if lossless else "yuv420p"
        if not lossless:
            picture.bit_rate = 4_000_000
        if rotation:
            picture.set_display_rotation(rotation)
        sound = (
            container.add_stream("pcm_s16le" if lossless else "aac", rate=sample_rate) if audio is not None else None
        )
        if sound is not None and audio is not None:
            sound.layout = "mono"
            for start in range(0, len(audio), 1024):
                block = np.round(audio[None, start : start + 1024] * 32767).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
                frame.sample_rate, frame.time_base = sample_rate, Fraction(1, sample_rate)
                frame.pts = start + round(audio_delay * sample_rate)
                container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
        for image in frames:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(picture.encode(None))
    return path


def decode(path: Path) -> list[np.ndarray]:
    """All frames as they are, [H, W, 3] each."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.fixture(scope="session")
def demo_clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    """Ten seconds of the demo subject, and its truth."""
    path = tmp_path_factory.mktemp("demo") / "demo.mp4"
    make_clip(path, ClipConfig(seconds=10.0, seed=3, size=256))
    with np.load(truth_path(path)) as truth:
        return path, {name: truth[name] for name in truth.files}


@pytest.fixture(scope="session")
def real_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first four seconds of a real clip, packets copied as they are."""
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
