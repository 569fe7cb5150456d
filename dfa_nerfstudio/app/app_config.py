"""Options of `dfa-app`. Imports nothing heavy, because the command line reads them at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dfa_nerfstudio.errors import UserError
from dfa_nerfstudio.serve.serve_config import MIN_TOKEN_LENGTH


@dataclass
class AppConfig:
    """Where the page is served, and where people are kept."""

    library: Path = Path("people")
    """Folder of the people, each of whom has a folder in it, as `dfa-make` writes it."""
    host: str = "127.0.0.1"
    """Address to listen on. Any other than this machine's own needs a token."""
    port: int = 7860
    """Port to listen on."""
    token: str | None = None
    """Word that a browser must give, in the address as `?token=WORD`. On this machine's own address there is none by
    default; on others a random one is chosen and printed."""
    max_upload_mb: int = 2000
    """Largest file that may be uploaded, in MB."""
    browser: bool = True
    """Whether to open the page in the browser."""

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise UserError(f"`port={self.port}`: give a port from 1 to 65535, or 0 for a free one")
        if self.max_upload_mb < 1:
            raise UserError(f"`max_upload_mb={self.max_upload_mb}`: give at least 1")
        if self.token is not None and len(self.token) < MIN_TOKEN_LENGTH:
            raise UserError(f"`token`: give at least {MIN_TOKEN_LENGTH} characters")
        if self.library.is_file():
            raise UserError(f"{self.library}: is a file; give a folder")

    @property
    def is_local(self) -> bool:
        """Whether the page is reachable from this machine only."""
        from dfa_nerfstudio.nerfstudio_patches import LOCAL_HOSTS  # imports torch

        return self.host in LOCAL_HOSTS
