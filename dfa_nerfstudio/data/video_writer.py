"""Writing a talking video: H.264 and AAC in one mp4, muxed as the frames come."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import Colorspace
from jaxtyping import Float, UInt8

from dfa_nerfstudio.data.files import written_whole
from dfa_nerfstudio.errors import UserError


class VideoWriter:
    """An mp4 with sound, taking its name only when it is whole.

    Every frame is shown for 1 / fps, so the picture lasts frames / fps; the sound lasts as long as its samples,
    whatever the number of frames. Only what the encoders hold back is kept in memory. H.264 in yuv420p wants even
    sizes: an odd width or height is padded by repeating the last column or row.

    Args:
        path: the file to write, ending in `.mp4`.
        fps: frames per second.
        size: width and height in pixels.
        audio: the whole sound, mono, in [-1, 1], beginning with the first frame; None for a silent film.
        sample_rate: of `audio`, in Hz.
        metadata: tags that mp4 knows: `title`, `artist`, `comment`, `copyright` and the like.

    Raises:
        UserError: on entering, if the file cannot be written, the size is empty, or AAC has no such sample rate.

    Example:
        >>> with VideoWriter(Path("out.mp4"), 25, (64, 48), None) as writer:  # doctest: +SKIP
        ...     writer.write(np.zeros((48, 64, 3), np.uint8))
    """

    def __init__(
        self,
        path: Path,
        fps: float,
        size: tuple[int, int],
        audio: Float[np.ndarray, " samples"] | None,
        sample_rate: int = 16_000,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self.path = path
        self.fps = Fraction(fps).limit_denominator(1001)
        self.size = size
        self.audio = None if audio is None else np.ascontiguousarray(np.clip(audio, -1, 1), np.float32)
        self.sample_rate = sample_rate
        self.metadata = dict(metadata or {})
        self.frames_written = 0
        self._samples_written = 0
        self._files = contextlib.ExitStack()

    def __enter__(self) -> VideoWriter:
        width, height = self.size
        if width < 2 or height < 2 or self.fps <= 0:
            raise UserError(f"{self.path}: cannot write {width}x{height} at {float(self.fps):g} frames/s")
        if self.path.suffix.lower() != ".mp4":
            raise UserError(f"{self.path}: the output must be named .mp4")
        try:
            self._partial = self._files.enter_context(written_whole(self.path))
            self._container = av.open(str(self._partial), "w", options={"movflags": "+faststart"})
            self._container.metadata.update(self.metadata)
            self._video = self._container.add_stream("libx264", rate=self.fps, options={"crf": "18"})
            self._video.width, self._video.height = width + width % 2, height + height % 2
            self._video.pix_fmt = "yuv420p"
            self._video.codec_context.time_base = 1 / self.fps
            self._video.codec_context.colorspace = Colorspace.SMPTE170M
            if self.audio is not None:
                self._sound = self._container.add_stream("aac", rate=self.sample_rate, layout="mono")
                self._sound.codec_context.open()
        except (OSError, FFmpegError) as error:
            self._files.__exit__(type(error), error, None)
            raise UserError(f"{self.path}: cannot be written ({error}); choose another file name or folder") from None
        return self

    def write(self, frame: UInt8[np.ndarray, "height width 3"]) -> None:
        """Appends an RGB frame, and the sound up to its end."""
        width, height = self.size
        if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
            raise ValueError(f"expected uint8 {(height, width, 3)}, got {frame.dtype} {frame.shape}")
        padded = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(padded, format="rgb24")
        picture.pts = self.frames_written
        picture.time_base = 1 / self.fps
        self._container.mux(self._video.encode(picture))
        self.frames_written += 1
        self._write_sound(int(self.frames_written / self.fps * self.sample_rate))

    def _write_sound(self, end: int) -> None:
        if self.audio is None:
            return
        chunk = self.audio[self._samples_written : end]
        if len(chunk):
            sound = av.AudioFrame.from_ndarray(chunk[None], format="fltp", layout="mono")
            sound.sample_rate = self.sample_rate
            sound.pts = self._samples_written
            sound.time_base = Fraction(1, self.sample_rate)
            self._container.mux(self._sound.encode(sound))
            self._samples_written += len(chunk)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        try:
            if kind is None:
                self._container.mux(self._video.encode(None))
                if self.audio is not None:
                    self._write_sound(len(self.audio))
                    self._container.mux(self._sound.encode(None))
            self._container.close()
        finally:
            self._files.__exit__(kind, error, None)
