"""Writing a talking video: picture and sound encoded as they come."""

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
class Format:
    """How picture and sound are encoded."""

    video: str
    pixels: str
    audio: str
    rate: int | None = None
    """The only sample rate that the sound's codec takes; None for any."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Of the picture's codec."""
    container: Mapping[str, str] = field(default_factory=dict)
    """Options of the container."""
    alpha: bool = False


_H264 = Format("libx264", "yuv420p", "aac", options={"crf": "18"}, container={"movflags": "+faststart"})
_ALPHA = {
    ".webm": Format(
        "libvpx-vp9",
        "yuva420p",
        "libopus",
        48_000,
        {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"},
        alpha=True,
    ),
    ".mov": Format("prores_ks", "yuva444p10le", "pcm_s16le", options={"profile": "4444"}, alpha=True),
}
_AT_ONCE = {"preset": "veryfast", "tune": "zerolatency", "crf": "20"}
STREAMS = {
    "mpegts": Format("libx264", "yuv420p", "aac", options=_AT_ONCE, container={"flush_packets": "1", "muxdelay": "0"}),
    "mp4": Format(
        "libx264",
        "yuv420p",
        "aac",
        options=_AT_ONCE,
        # not frag_every_frame, which puts pictures at the wrong times where there is sound
        container={"movflags": "empty_moov+default_base_moof", "frag_duration": "20000", "flush_packets": "1"},
    ),
}
"""What can be watched while it is written, by the name of the container."""


def file_format(path: Path, transparent: bool) -> Format:
    """The format that a file's name asks for.

    Raises:
        UserError: if there is none, or none that shows what is behind the person.
    """
    formats = _ALPHA if transparent else {".mp4": _H264}
    if path.suffix.lower() not in formats:
        why = "what is transparent" if transparent else "the output"
        raise UserError(f"{path}: {why} must be named {' or '.join(formats)}")
    return formats[path.suffix.lower()]


class Encoder:
    """Puts pictures and sound into an open container.

    Every frame is shown for 1 / fps, so the picture lasts frames / fps; the sound lasts as long as its samples,
    whatever the number of frames. Only what the encoders hold back is kept in memory, and sound that is ahead of the
    picture. H.264 in yuv420p wants even sizes: an odd width or height is padded by repeating the last column or row.
    """

    def __init__(
        self,
        container: Any,
        form: Format,
        fps: float,
        size: tuple[int, int],
        sample_rate: int | None,
        metadata: Mapping[str, str],
    ) -> None:
        width, height = size
        self.fps, self.size, self.sample_rate, self.form = (
            Fraction(fps).limit_denominator(1001),
            size,
            sample_rate,
            form,
        )
        self.frames_written = self._heard = self._samples_written = 0
        self._ahead: deque[Float[np.ndarray, " n"]] = deque()
        self._container = container
        container.metadata.update(metadata)
        self._video = container.add_stream(form.video, rate=self.fps, options=dict(form.options))
        self._video.width, self._video.height = width + width % 2, height + height % 2
        self._video.pix_fmt = form.pixels
        self._video.codec_context.time_base = 1 / self.fps
        self._video.codec_context.colorspace = Colorspace.SMPTE170M
        if form.alpha:
            self._video.metadata["alpha_mode"] = "1"
        if sample_rate is not None:
            self._sound = container.add_stream(form.audio, rate=form.rate or sample_rate, layout="mono")
            self._sound.codec_context.open()

    def hear(self, samples: Float[np.ndarray, " n"]) -> None:
        """Appends mono sound in [-1, 1]; it is encoded with the frames that it belongs to."""
        self._ahead.append(np.ascontiguousarray(np.clip(samples, -1, 1), np.float32))
        self._heard += len(samples)

    def write(self, frame: UInt8[np.ndarray, "height width channels"]) -> None:
        """Appends a frame, RGB or where the format has alpha RGBA, and the sound up to its end."""
        (width, height), channels = self.size, 3 + self.form.alpha
        if frame.shape != (height, width, channels) or frame.dtype != np.uint8:
            raise ValueError(f"expected uint8 {(height, width, channels)}, got {frame.dtype} {frame.shape}")
        padded = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(padded, format="rgba" if self.form.alpha else "rgb24")
        picture.pts = self.frames_written
        picture.time_base = 1 / self.fps
        self._encode(picture)
        self.frames_written += 1
        if self.sample_rate is not None:
            self._write_sound(int(self.frames_written / self.fps * self.sample_rate), self.sample_rate)

    def finish(self) -> None:
        """Encodes what is left."""
        self._encode(None)
        if self.sample_rate is not None:
            self._write_sound(self._heard, self.sample_rate)
            self._container.mux(self._sound.encode(None))

    def _encode(self, picture: av.VideoFrame | None) -> None:
        for packet in self._video.encode(picture):
            packet.duration = 1  # a fragment of a single frame has no next one to tell its length
            self._container.mux(packet)

    def _write_sound(self, end: int, sample_rate: int) -> None:
        while self._ahead and self._samples_written < end:
            piece = self._ahead.popleft()
            chunk, rest = np.split(piece, [end - self._samples_written])
            if len(rest):
                self._ahead.appendleft(rest)
            if not len(chunk):
                continue
            sound = av.AudioFrame.from_ndarray(chunk[None], format="fltp", layout="mono")
            sound.sample_rate = sample_rate
            sound.pts = self._samples_written
            sound.time_base = Fraction(1, sample_rate)
            self._container.mux(self._sound.encode(sound))
            self._samples_written += len(chunk)


class VideoWriter:
    """A video file, taking its name only when it is whole: .mp4 (H.264 and AAC), or with alpha .webm (VP9 and Opus) or
    .mov (ProRes 4444 and PCM).

    Args:
        path: the file to write.
        fps: frames per second.
        size: width and height in pixels.
        sample_rate: of the sound, in Hz; None for a silent film.
        metadata: tags that mp4 knows: `title`, `artist`, `comment`, `copyright` and the like.
        transparent: frames have alpha.
        complete: what is done to the finished file before it takes its name.

    Raises:
        UserError: if the file's name is of another format; on entering, if it cannot be written, the size is empty, or
            the sound's codec has no such sample rate.

    Example:
        >>> with VideoWriter(Path("out.mp4"), 25, (64, 48)) as writer:  # doctest: +SKIP
        ...     writer.write(np.zeros((48, 64, 3), np.uint8))
    """

    def __init__(
        self,
        path: Path,
        fps: float,
        size: tuple[int, int],
        sample_rate: int | None = None,
        metadata: Mapping[str, str] | None = None,
        transparent: bool = False,
        complete: Callable[[Path], None] = lambda path: None,
    ) -> None:
        self._complete = complete
        self.path, self._form = path, file_format(path, transparent)
        self._rest = (fps, size, sample_rate, metadata or {})
        self._files = contextlib.ExitStack()

    def __enter__(self) -> Encoder:
        fps, (width, height), *_ = self._rest
        if width < 2 or height < 2 or fps <= 0:
            raise UserError(f"{self.path}: cannot write {width}x{height} at {fps:g} frames/s")
        try:
            self._partial = self._files.enter_context(atomic_write(self.path))
            self._container = av.open(str(self._partial), "w", options=dict(self._form.container))
            self._encoder = Encoder(self._container, self._form, *self._rest)
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
                self._complete(self._partial)
        except BaseException as failure:
            self._files.__exit__(type(failure), failure, None)  # nothing takes the final name
            raise
        self._files.__exit__(kind, error, None)


@contextlib.contextmanager
def stream_writer(
    target: BinaryIO, container: str, fps: float, size: tuple[int, int], sample_rate: int, metadata: Mapping[str, str]
) -> Iterator[Encoder]:
    """An `Encoder` to a pipe that can be watched while it is written.

    Args:
        target: takes bytes; is never sought in.
        container: one of `STREAMS`.
        fps: frames per second.
        size: width and height in pixels.
        sample_rate: of the sound, in Hz.
        metadata: tags.
    """
    form = STREAMS[container]
    with av.open(target, "w", format=container, options=dict(form.container)) as opened:
        encoder = Encoder(opened, form, fps, size, sample_rate, metadata)
        yield encoder
        encoder.finish()
