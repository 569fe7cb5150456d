"""Writing a video with audio to a file or a stream, encoded frame by frame."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import Colorspace
from jaxtyping import Float, UInt8

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.errors import UserError


@dataclass(frozen=True)
class EncodingFormat:
    """Codecs and options of a video file or stream."""

    video_codec: str
    pixel_format: str
    audio_codec: str
    sample_rate: int | None = None
    """Sample rate in Hz at which the audio is encoded; None for that of the samples."""
    video_options: Mapping[str, str] = field(default_factory=dict)
    """Options of the video codec."""
    container_options: Mapping[str, str] = field(default_factory=dict)
    """Options of the container."""
    alpha: bool = False
    """Whether frames have an alpha channel."""


_H264 = EncodingFormat(
    "libx264", "yuv420p", "aac", video_options={"crf": "18"}, container_options={"movflags": "+faststart"}
)
_ALPHA_FORMATS = {
    ".webm": EncodingFormat(
        "libvpx-vp9",
        "yuva420p",
        "libopus",
        48_000,
        {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"},
        alpha=True,
    ),
    ".mov": EncodingFormat("prores_ks", "yuva444p10le", "pcm_s16le", video_options={"profile": "4444"}, alpha=True),
}
_LOW_LATENCY = {"preset": "veryfast", "tune": "zerolatency", "crf": "20"}
_STREAM_AUDIO_RATE = 48_000
"""Sample rate of a stream's audio in Hz. A packet of AAC has 1024 samples: 21 ms, and at 16 kHz 64 ms, for which frames
would wait."""
_UNBUFFERED = {"flush_packets": "1", "max_interleave_delta": "1"}
"""Container options that write each packet at once; otherwise a frame waits for a later packet of audio."""
STREAM_FORMATS = {
    "mpegts": EncodingFormat(
        "libx264",
        "yuv420p",
        "aac",
        _STREAM_AUDIO_RATE,
        video_options=_LOW_LATENCY,
        container_options=_UNBUFFERED,
    ),
    "mp4": EncodingFormat(
        "libx264",
        "yuv420p",
        "aac",
        _STREAM_AUDIO_RATE,
        video_options=_LOW_LATENCY,
        # not frag_every_frame, which gives frames wrong times where there is audio; without skip_trailer, an index of
        # all fragments is kept in memory until the end
        container_options={
            "movflags": "empty_moov+default_base_moof+skip_trailer",
            "frag_duration": "20000",
            **_UNBUFFERED,
        },
    ),
}
"""Formats that can be played while they are written, by the name of the container."""


def format_for_file(path: Path, transparent: bool) -> EncodingFormat:
    """The encoding format for the suffix of a file.

    Args:
        path: the file to write.
        transparent: whether frames have an alpha channel.

    Raises:
        UserError: if the suffix is unknown, or its format has no alpha channel and `transparent` is set.
    """
    formats = _ALPHA_FORMATS if transparent else {".mp4": _H264}
    if path.suffix.lower() not in formats:
        subject = "a transparent video" if transparent else "the output"
        raise UserError(f"{path}: {subject} must be named {' or '.join(formats)}")
    return formats[path.suffix.lower()]


class VideoEncoder:
    """Encodes frames and audio into an open container.

    Every frame lasts 1 / fps, so the video stream lasts frames / fps; the audio stream lasts as long as its samples,
    whatever the number of frames. Only the encoders' own buffers are kept in memory, and audio ahead of the frames.
    H.264 in yuv420p requires even sizes: an odd width or height is padded by repeating the last column or row.
    """

    def __init__(
        self,
        container: Any,
        encoding: EncodingFormat,
        fps: float,
        size: tuple[int, int],
        sample_rate: int | None,
        metadata: Mapping[str, str],
    ) -> None:
        width, height = size
        self.fps = Fraction(fps).limit_denominator(1001)
        self.size, self.sample_rate, self.encoding = size, sample_rate, encoding
        self.frames_written = 0
        """Number of frames written."""
        self._samples_received = self._samples_written = 0
        self._pending_audio: deque[Float[np.ndarray, " n"]] = deque()
        self._container = container
        container.metadata.update(metadata)
        self._video = container.add_stream(encoding.video_codec, rate=self.fps, options=dict(encoding.video_options))
        self._video.width, self._video.height = width + width % 2, height + height % 2
        self._video.pix_fmt = encoding.pixel_format
        self._video.codec_context.time_base = 1 / self.fps
        self._video.codec_context.colorspace = Colorspace.SMPTE170M
        if encoding.alpha:
            self._video.metadata["alpha_mode"] = "1"
        if sample_rate is not None:
            self._audio = container.add_stream(
                encoding.audio_codec, rate=encoding.sample_rate or sample_rate, layout="mono"
            )
            self._audio.codec_context.open()

    def write_audio(self, samples: Float[np.ndarray, " n"]) -> None:
        """Appends mono audio in [-1, 1]; it is encoded with the frames of the same time."""
        self._pending_audio.append(np.ascontiguousarray(np.clip(samples, -1, 1), np.float32))
        self._samples_received += len(samples)

    def write_frame(self, frame: UInt8[np.ndarray, "height width channels"]) -> None:
        """Appends a frame, RGB or RGBA as the format requires, and the audio up to its end."""
        (width, height), channels = self.size, 3 + self.encoding.alpha
        if frame.shape != (height, width, channels) or frame.dtype != np.uint8:
            raise ValueError(f"expected uint8 {(height, width, channels)}, got {frame.dtype} {frame.shape}")
        padded = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        image = av.VideoFrame.from_ndarray(padded, format="rgba" if self.encoding.alpha else "rgb24")
        image.pts = self.frames_written
        image.time_base = 1 / self.fps
        self._encode_frame(image)
        self.frames_written += 1
        if self.sample_rate is not None:
            self._encode_audio(int(self.frames_written / self.fps * self.sample_rate), self.sample_rate)

    def finish(self) -> None:
        """Encodes the audio after the last frame and empties the encoders' buffers."""
        self._encode_frame(None)
        if self.sample_rate is not None:
            self._encode_audio(self._samples_received, self.sample_rate)
            self._container.mux(self._audio.encode(None))

    def _encode_frame(self, image: av.VideoFrame | None) -> None:
        for packet in self._video.encode(image):
            packet.duration = 1  # in a fragment of a single frame, no next frame defines it
            self._container.mux(packet)

    def _encode_audio(self, end: int, sample_rate: int) -> None:
        """Encodes the pending audio up to sample `end`."""
        while self._pending_audio and self._samples_written < end:
            chunk, rest = np.split(self._pending_audio.popleft(), [end - self._samples_written])
            if len(rest):
                self._pending_audio.appendleft(rest)
            if not len(chunk):
                continue
            audio = av.AudioFrame.from_ndarray(chunk[None], format="fltp", layout="mono")
            audio.sample_rate = sample_rate
            audio.pts = self._samples_written
            audio.time_base = Fraction(1, sample_rate)
            self._container.mux(self._audio.encode(audio))
            self._samples_written += len(chunk)


class VideoWriter:
    """Writes a video file atomically: .mp4 (H.264 and AAC), or with alpha .webm (VP9 and Opus) or .mov (ProRes 4444
    and PCM).

    Args:
        path: the file to write.
        fps: frames per second.
        size: width and height in pixels.
        sample_rate: sample rate of the audio in Hz; None for no audio.
        metadata: tags that mp4 knows: `title`, `artist`, `comment`, `copyright` and others.
        transparent: whether frames have an alpha channel.
        finalize: called with the path of the finished file before it is moved to its final name.

    Raises:
        UserError: if the suffix is of another format; on entering, if the file cannot be written, the size is empty, or
            the audio codec does not support the sample rate.

    Example:
        >>> with VideoWriter(Path("out.mp4"), 25, (64, 48)) as writer:  # doctest: +SKIP
        ...     writer.write_frame(np.zeros((48, 64, 3), np.uint8))
    """

    def __init__(
        self,
        path: Path,
        fps: float,
        size: tuple[int, int],
        sample_rate: int | None = None,
        metadata: Mapping[str, str] | None = None,
        transparent: bool = False,
        finalize: Callable[[Path], None] = lambda path: None,
    ) -> None:
        self._finalize = finalize
        self.path, self._encoding = path, format_for_file(path, transparent)
        self._settings = (fps, size, sample_rate, metadata or {})
        self._files = contextlib.ExitStack()

    def __enter__(self) -> VideoEncoder:
        fps, (width, height), *_ = self._settings
        if width < 2 or height < 2 or fps <= 0:
            raise UserError(f"{self.path}: cannot write {width}x{height} at {fps:g} frames/s")
        try:
            self._partial = self._files.enter_context(atomic_write(self.path))
            self._container = av.open(f"file:{self._partial}", "w", options=dict(self._encoding.container_options))
            self._encoder = VideoEncoder(self._container, self._encoding, *self._settings)
        except (OSError, FFmpegError) as error:
            self._files.__exit__(type(error), error, None)
            raise UserError(f"{self.path}: cannot be written ({error}); choose another file name or folder") from None
        return self._encoder

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        try:
            if kind is None:
                self._encoder.finish()
            self._container.close()
            if kind is None:
                self._finalize(self._partial)
        except BaseException as failure:
            self._files.__exit__(type(failure), failure, None)  # removes the partial file
            raise
        self._files.__exit__(kind, error, None)


@contextlib.contextmanager
def stream_writer(
    target: BinaryIO, container: str, fps: float, size: tuple[int, int], sample_rate: int, metadata: Mapping[str, str]
) -> Iterator[VideoEncoder]:
    """Opens a `VideoEncoder` on a pipe whose video can be played while it is written.

    Args:
        target: receives the bytes in order, without seeking.
        container: one of `STREAM_FORMATS`.
        fps: frames per second.
        size: width and height in pixels.
        sample_rate: sample rate of the audio in Hz.
        metadata: tags.
    """
    encoding = STREAM_FORMATS[container]
    with av.open(target, "w", format=container, options=dict(encoding.container_options)) as opened:
        encoder = VideoEncoder(opened, encoding, fps, size, sample_rate, metadata)
        yield encoder
        encoder.finish()
