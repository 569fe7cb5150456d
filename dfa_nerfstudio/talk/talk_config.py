"""Options of `dfa-talk`; light, so that the command line is read at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dfa_nerfstudio.errors import UserError


@dataclass
class HearingConfig:
    """What is done to the sound's features before the field sees them."""

    close_in_silence: bool = True
    """Shuts the mouth where nobody speaks."""
    smooth_lips: float = 0.7
    """Standard deviation in frames of a window that keeps lips from trembling, to both sides alike, so that they do not
    lag; 0 for none."""

    def __post_init__(self) -> None:
        if not 0 <= self.smooth_lips <= 10:
            raise UserError(f"--smooth-lips {self.smooth_lips:g}: give 0 to 10 frames")


@dataclass
class FilmConfig:
    """What the video looks like."""

    size: int | None = None
    """Longer side in pixels; by default that of the training images. Any will do: the field has no resolution."""
    fps: float = 25.0
    """Frames per second."""
    start: float = 0.0
    """Where in the audio to begin, in seconds."""
    end: float | None = None
    """Where to end."""
    background: str | None = None
    """What is behind the person instead of the film's own background: an image, which is cut to shape, a colour
    (`white`, `#20a0ff`), or `transparent`, for which the output must be named .webm or .mov."""
    paste: Path | None = None
    """The video that dfa-process was given: the portrait is put back into its frames, which run forth and back. With
    `--pose source` the body goes on across the portrait's rim."""
    watermark: bool = False
    """Writes into the picture that it is synthetic."""
    sign: tuple[Path, Path] | None = None
    """Certificate chain and private key (PEM): adds C2PA content credentials. Needs pip install
    "dfa-nerfstudio[sign]"."""

    def __post_init__(self) -> None:
        if self.size is not None and not 16 <= self.size <= 8192:
            raise UserError(f"--size {self.size}: give 16 to 8192 pixels")
        if not 1 <= self.fps <= 120:
            raise UserError(f"--fps {self.fps:g}: give 1 to 120")
        if self.start < 0 or (self.end is not None and self.end <= self.start):
            raise UserError(f"--start {self.start:g} --end {self.end}: must be 0 or more, and the end after the start")
        if self.paste is not None and self.background is not None:
            raise UserError("--paste puts the portrait before the film's own background; leave --background out")


@dataclass
class LiveConfig:
    """Talking while the sound is still arriving."""

    live: bool = False
    """Takes PCM (16 bit, little endian, mono) from standard input and writes the video to standard output, frame by
    frame, as MPEG-TS or fragmented mp4."""
    listen: int | None = None
    """Takes the PCM from a WebSocket on this port of 127.0.0.1 instead, as binary messages; a text message ends it."""
    pcm_rate: int = 16_000
    """Samples per second of the PCM."""
    container: Literal["mpegts", "mp4"] = "mpegts"
    """How the video is packed."""

    def __post_init__(self) -> None:
        if self.listen is not None and not 0 < self.listen < 65536:
            raise UserError(f"--listen {self.listen}: give a port from 1 to 65535")
        if not 4000 <= self.pcm_rate <= 192_000:
            raise UserError(f"--pcm-rate {self.pcm_rate}: give 4000 to 192000")
