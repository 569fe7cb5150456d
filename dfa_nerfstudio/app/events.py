"""How the page's events reach the server."""

from __future__ import annotations

from typing import Any

AT_ONCE: dict[str, Any] = {"queue": False, "api_visibility": "private"}
"""Every event is answered at once, as a plain request, because the jobs have a queue of their own. In gradio's queue,
whose answers are streamed, one answer that is lost stops the page's timer for good."""
