"""Source videos of many formats: their conversion and its warnings."""

from __future__ import annotations

import os
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.audio import read_audio
from dfa_nerfstudio.media.video_reader import Video, to_rgb
from dfa_nerfstudio.preprocessing.process_config import ProcessConfig
from dfa_nerfstudio.preprocessing.process_video import process_video
from tests.preprocessing.conftest import decode, write_clip

COLOURS = np.array([(200, 30, 40), (30, 180, 60), (224, 172, 140), (128, 128, 128)])
"""Test colours, RGB; the third is skin."""
BT709, BT601, BT2020 = (0.2126, 0.0722, 1), (0.299, 0.114, 6), (0.2627, 0.0593, 9)
"""Luma weights of red and blue, and the code of the standard."""
TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
PQ, HLG = 16, 18


def yuv(rgb: np.ndarray, standard: tuple[float, float, int], bits: int, full: bool = False) -> np.ndarray:
    """Converts R'G'B' in [0, 1] to Y, Cb and Cr [3, H, W], as defined by ITU-R BT.709, 601 and 2020."""
    red, blue, _ = standard
    weights = np.array([red, 1 - red - blue, blue])
    y = rgb @ weights
    cb, cr = (rgb[..., 2] - y) / (2 * (1 - blue)), (rgb[..., 0] - y) / (2 * (1 - red))
    unit = 2 ** (bits - 8)
    planes = (y * 255, cb * 255 + 128, cr * 255 + 128) if full else (y * 219 + 16, cb * 224 + 128, cr * 224 + 128)
    return (np.stack(planes) * unit).round().clip(0, 2**bits - 1)


def patches() -> np.ndarray:
    """Returns an image of the colours side by side, [64, 128, 3] in [0, 1]."""
    return np.repeat(COLOURS[None], 64, 0).repeat(32, 1) / 255


def write_planes(
    path: Path, planes: np.ndarray, standard: tuple[float, float, int], bits: int, full: bool = False, transfer: int = 1
) -> Path:
    """Writes three equal frames, nearly without loss."""
    with av.open(str(path), "w") as container:
        name = "yuv444p" if bits == 8 else f"yuv444p{bits}le"
        stream = container.add_stream("libx264" if bits == 8 else "libx265", rate=25)
        stream.height, stream.width = planes.shape[1:]
        stream.pix_fmt = name
        stream.options = {"crf": "4", "x265-params": "log-level=none"}
        context = stream.codec_context
        context.colorspace, context.color_range, context.color_trc = standard[2], 1 + full, transfer
        context.color_primaries = standard[2]
        frame = av.VideoFrame(stream.width, stream.height, name)
        for plane, values in zip(frame.planes, planes, strict=True):
            rows = np.zeros(
                (plane.height, plane.line_size // (1 if bits == 8 else 2)), np.uint8 if bits == 8 else "<u2"
            )
            rows[:, : plane.width] = values
            plane.update(rows.tobytes())
        frame.colorspace, frame.color_range, frame.color_trc = standard[2], 1 + full, transfer
        frame.color_primaries = standard[2]
        for number in range(3):
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def first_image(path: Path) -> tuple[np.ndarray, list[str]]:
    video = Video(path)
    images = [to_rgb(frame) for frame in video.frames()]
    assert len(images) == 3
    return images[0], video.warnings


@pytest.mark.parametrize("standard", [BT601, BT709])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("bits", [8, 10])
def test_colours_follow_the_standard_of_the_file(tmp_path: Path, standard: tuple, full: bool, bits: int) -> None:
    image, notes = first_image(
        write_planes(tmp_path / "c.mp4", yuv(patches(), standard, bits, full), standard, bits, full)
    )
    assert np.abs(image[32, 16::32].astype(int) - COLOURS).max() <= 3
    assert notes == ([] if bits == 8 else ["10 bit; taken as 8 bit"])


def pq(light: np.ndarray) -> np.ndarray:
    """Encodes light in cd/m2 by SMPTE ST 2084."""
    power = (light / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg(light: np.ndarray) -> np.ndarray:
    """Encodes light in cd/m2, on a screen of 1000 cd/m2, by ARIB STD-B67 (ITU-R BT.2100)."""
    shown = light / 1000
    y = shown @ np.array([0.2627, 0.6780, 0.0593])
    scene = shown * (y ** (1 / 1.2 - 1))[..., None]
    logarithmic = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), logarithmic)


@pytest.mark.parametrize(("transfer", "curve", "name"), [(PQ, pq, "PQ"), (HLG, hlg, "HLG")])
def test_high_dynamic_range_is_converted_to_standard_range(tmp_path: Path, transfer: int, curve, name: str) -> None:
    light = 203 * patches() ** 2.4 @ TO_BT2020.T  # white at 203 cd/m2, ITU-R BT.2408
    planes = yuv(curve(light), BT2020, 10)
    image, notes = first_image(write_planes(tmp_path / "hdr.mp4", planes, BT2020, 10, transfer=transfer))
    assert np.abs(image[32, 16::32].astype(int) - COLOURS).max() <= 6
    assert len(notes) == 1 and name in notes[0]


def test_grey_videos_and_odd_sizes_are_read(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(0, 230, dtype=np.uint8), (65, 1))[:, :97]
    for fmt in ("gray", "gray10le", "yuv420p"):
        path = tmp_path / f"{fmt}.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("ffv1", rate=25)
            stream.height, stream.width, stream.pix_fmt = 65, 97, fmt
            for _ in range(3):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(ramp, format="gray").reformat(format=fmt)))
            container.mux(stream.encode(None))
        image, _ = first_image(path)
        assert image.shape == (65, 97, 3)
        assert np.abs(image.astype(int) - ramp[..., None]).max() <= 4


def test_non_square_pixels_are_resampled(tmp_path: Path) -> None:
    path = tmp_path / "dv.mp4"
    disc = (np.hypot(*(np.mgrid[:72, :96] - [[[36]], [[48]]]) * [[[1]], [[16 / 11]]]) < 28).astype(np.uint8) * 200
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt, stream.bit_rate = 72, 96, "yuv420p", 2_000_000
        stream.sample_aspect_ratio = Fraction(16, 11)
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.stack([disc] * 3, -1), format="rgb24")))
        container.mux(stream.encode(None))
    image, notes = first_image(path)
    assert image.shape == (72, 140, 3) and "not square" in notes[0]
    rows, columns = (np.flatnonzero((image[..., 0] > 100).any(axis)) for axis in (1, 0))
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 2


def test_interlaced_frames_are_deinterlaced(tmp_path: Path) -> None:
    """A bar that moves from field to field has comb artefacts; deinterlacing removes most of them."""
    path = tmp_path / "fields.mkv"

    def field(moment: int) -> np.ndarray:
        image = np.full((96, 128, 3), 40, np.uint8)
        image[:, 20 + 4 * moment : 50 + 4 * moment] = 210
        return image

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.height, stream.width, stream.pix_fmt, stream.bit_rate = 96, 128, "yuv420p", 4_000_000
        stream.codec_context.flags |= av.codec.context.Flags.interlaced_dct | av.codec.context.Flags.interlaced_me
        for number in range(8):
            woven = field(2 * number)
            woven[1::2] = field(2 * number + 1)[1::2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(woven, format="rgb24")))
        container.mux(stream.encode(None))

    def combs(images: list[np.ndarray]) -> float:
        return float(np.mean([np.abs(np.diff(image.astype(float)[..., 0], axis=0)).mean() for image in images]))

    video = Video(path)
    images = [to_rgb(frame) for frame in video.frames()]
    assert len(images) == 8 and "interlaced; deinterlaced" in video.warnings
    assert combs(images) < 0.35 * combs(decode(path))


def test_variable_frame_rate_is_resampled_by_time(tmp_path: Path) -> None:
    path, rng = tmp_path / "vfr.mkv", np.random.default_rng(1)
    times = np.cumsum(rng.choice([20, 33, 50, 120], 80)) - 20  # milliseconds
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=1000)
        stream.height, stream.width, stream.pix_fmt, stream.time_base = 64, 96, "bgr0", Fraction(1, 1000)
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = int(time), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    shown = [int(to_rgb(frame)[0, 0, 0]) for frame in Video(path).frames()]
    since = (times - times[0]) / 1000
    for number, grey in enumerate(shown[:-3]):
        assert abs(since[grey] - number / 25) <= np.abs(since - number / 25).min() + 1.1e-3


def remuxed(source: Path, target: Path, **options: str) -> Path:
    with av.open(str(source)) as reading, av.open(str(target), "w", options=options) as writing:
        streams = {stream.index: writing.add_stream_from_template(stream) for stream in reading.streams}
        for packet in reading.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                writing.mux(packet)
    return target


def test_damaged_files_are_read_up_to_the_damage(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [np.kron(rng.integers(0, 255, (8, 12, 3)), np.ones((8, 8, 1))).astype(np.uint8) for _ in range(100)]
    audio = rng.normal(0, 0.1, 4 * 16_000)
    whole = write_clip(tmp_path / "whole.mp4", frames, audio=audio)
    streamable = remuxed(whole, tmp_path / "streamable.mp4", movflags="faststart").read_bytes()
    matroska = write_clip(tmp_path / "whole.mkv", frames, audio=audio).read_bytes()
    for name, content in (("half.mp4", streamable), ("half.mkv", matroska)):
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        video = Video(tmp_path / name)
        count = sum(1 for _ in video.frames())
        assert 40 < count < 60 and any("breaks off at" in note and "of 4.0 s" in note for note in video.warnings)
        assert abs(len(read_audio(tmp_path / name)) / 640 - count) < 6
    scratched = bytearray(streamable)
    middle = len(scratched) // 2
    scratched[middle : middle + 20_000] = rng.bytes(20_000)
    (tmp_path / "scratched.mp4").write_bytes(scratched)
    video = Video(tmp_path / "scratched.mp4")
    assert sum(1 for _ in video.frames()) == 100 and any("damaged" in note for note in video.warnings)
    assert len(read_audio(tmp_path / "scratched.mp4")) > 3.9 * 16_000
    (tmp_path / "headless.mp4").write_bytes(
        whole.read_bytes()[: len(streamable) // 2]
    )  # without its index, which is at the end
    with pytest.raises(UserError, match=r"headless\.mp4.*not a complete one"):
        Video(tmp_path / "headless.mp4")


def test_a_read_only_folder_is_reported(real_clip: Path) -> None:
    with tempfile.TemporaryDirectory() as parent:
        os.chmod(parent, 0o555)
        if os.getuid() == 0:  # root ignores the mode
            os.seteuid(65534)
        try:
            with pytest.raises(UserError, match="out: cannot be written"):
                process_video(real_clip, Path(parent) / "out", ProcessConfig(size=64))
        finally:
            if os.getuid() == 0:
                os.seteuid(0)
            os.chmod(parent, 0o755)
