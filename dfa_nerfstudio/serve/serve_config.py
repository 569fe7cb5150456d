"""Options of `dfa-serve`. Imports only light modules, because the command line reads this one at every start."""

from __future__ import annotations

from dataclasses import dataclass

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.talk.talk_config import VideoConfig

MIN_TOKEN_LENGTH = 8
"""Smallest number of characters of a token."""


@dataclass
class ServeConfig:
    """Address, limits and video of the server."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for all of this machine's. Any address but this machine's own needs a token."""
    port: int = 8765
    """Port to listen on."""
    token: str | None = None
    """Secret that every request must carry, at least 8 characters. By default none is needed from this machine, and a
    random one is printed where other machines can connect."""
    max_clients: int | None = None
    """Largest number of clients at a time; by default as many as this machine renders in real time, measured at the
    start, and at least one."""
    size: int | None = None
    """Longer side of the video in pixels, 16 to 8192; by default that of the training images."""
    background: str | None = None
    """What replaces the source video's background: an image file or a colour (`white`, `#20a0ff`)."""
    watermark: bool = False
    """Draws a visible "AI-generated" label into the frames, which WebRTC shows too; it carries no metadata."""
    jitter_buffer: float = 0.06
    """Seconds of audio, 0 to 1, that must have arrived before speech starts. More of it bridges an uneven connection;
    latency grows by as much."""
    max_queued: float = 300.0
    """Largest duration of audio that a client may send ahead of its playback, in seconds."""

    def __post_init__(self) -> None:
        if not 0 < self.port < 65536:
            raise UserError(f"`port={self.port}`: give a port from 1 to 65535")
        if self.token is not None and len(self.token) < MIN_TOKEN_LENGTH:
            raise UserError(f"`token`: give at least {MIN_TOKEN_LENGTH} characters")
        if self.max_clients is not None and self.max_clients < 1:
            raise UserError(f"`max_clients={self.max_clients}`: give 1 or more")
        if not 0 <= self.jitter_buffer <= 1:
            raise UserError(f"`jitter_buffer={self.jitter_buffer:g}`: give 0 to 1 seconds")
        if not self.max_queued >= 1:
            raise UserError(f"`max_queued={self.max_queued:g}`: give 1 second or more")
        if self.background == "transparent":
            raise UserError("`background=transparent`: a stream has no alpha channel; give a colour")

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        from dfa_nerfstudio.nerfstudio_patches import LOCAL_HOSTS  # imports torch

        return self.host in LOCAL_HOSTS

    def video(self, fps: float) -> VideoConfig:
        """The video options of the renderer."""
        return VideoConfig(size=self.size, fps=fps, background=self.background, watermark=self.watermark)
