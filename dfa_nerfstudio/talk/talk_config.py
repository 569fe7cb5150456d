"""Options of `dfa-talk`. Imports only light modules, because the command line reads this one at every start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dfa_nerfstudio.attributes.lips.lip_config import LipConfig
from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.media.rates import SAMPLE_RATE

PasteRegion = Literal["portrait", "lower-face"]


@dataclass
class AudioConditioningConfig(LipConfig):
    """How lips are post-processed; for a renderer on an audio feature, its amplitude, smoothing and closing."""

    close_in_silence: bool = True
    """Closes the mouth where voice activity detection finds no speech."""


@dataclass
class VideoConfig:
    """Format and content of the output video."""

    size: int | None = None
    """Longer side in pixels, 16 to 8192; by default that of the training images. It may exceed theirs, because the
    field is continuous."""
    fps: float | None = None
    """Frames per second, 1 to 120; by default the source video's standard rate (24 to 60), and 25 live."""
    start: float = 0.0
    """Start of the segment of the audio that is used, in seconds."""
    end: float | None = None
    """End of that segment, in seconds; by default the end of the audio."""
    audio_track: int | None = None
    """Number of the audio track of a file with several, from 1; by default the one with the most speech."""
    background: str | None = None
    """What replaces the source video's background: an image file (cropped to the output's aspect ratio), a colour
    (`white`, `#20a0ff`), or `transparent`, which needs an output named .webm or .mov."""
    paste: Path | None = None
    """The video that was given to dfa-process. The rendered portrait is composited into its frames, which are played
    forwards and backwards in turn. With the pose `source`, portrait and surrounding body fit each other, and frames
    that dfa-process excluded stay as they are; with other poses these are left out."""
    paste_region: PasteRegion = "portrait"
    """What `paste` replaces: the whole `portrait`, or the `lower-face` alone, as for dubbing. The latter leaves all
    other pixels as they are, and needs the pose `source`."""
    watermark: bool = False
    """Draws a visible "AI-generated" label into the frames."""
    sign: tuple[Path, Path] | None = None
    """Certificate chain and private key, both PEM: adds signed C2PA content credentials. Needs pip install
    "dfa-nerfstudio[sign]"."""

    def __post_init__(self) -> None:
        if self.size is not None and not 16 <= self.size <= 8192:
            raise UserError(f"`size={self.size}`: give 16 to 8192 pixels")
        if self.fps is not None and not 1 <= self.fps <= 120:
            raise UserError(f"`fps={self.fps:g}`: give 1 to 120 frames per second")
        if self.start < 0 or (self.end is not None and self.end <= self.start):
            raise UserError(
                f"`start={self.start:g}` `end={self.end}`: give a start of 0 s or more, and an end after it"
            )
        if self.paste is not None and self.background is not None:
            raise UserError("`paste` keeps the background of its video: leave out `background`")
        if self.paste is None and self.paste_region != "portrait":
            raise UserError(f"`paste_region={self.paste_region}`: needs `paste`, the video to change")


@dataclass
class LiveConfig:
    """Rendering while the audio is still arriving."""

    live: bool = False
    """Reads PCM audio (16 bit, little endian, mono) from standard input and writes the video to standard output, frame
    by frame, as MPEG-TS or fragmented mp4."""
    listen: int | None = None
    """Port of a WebSocket on 127.0.0.1 from which the PCM is read instead, as binary messages; a text message ends
    it."""
    pcm_rate: int = SAMPLE_RATE
    """Sample rate of the PCM in Hz, 4000 to 192000."""
    idle: bool = True
    """Goes on with idle motion, by the clock, while the sender of the PCM pauses; otherwise the video waits."""
    container: Literal["mpegts", "mp4"] = "mpegts"
    """Container format of the stream: MPEG-TS, or fragmented mp4."""

    def __post_init__(self) -> None:
        if self.listen is not None and not 0 < self.listen < 65536:
            raise UserError(f"`listen={self.listen}`: give a port from 1 to 65535")
        if not 4000 <= self.pcm_rate <= 192_000:
            raise UserError(f"`pcm_rate={self.pcm_rate}`: give 4000 to 192000 Hz")
