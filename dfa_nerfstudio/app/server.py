"""Serves the page on an address, with the reports of its people."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import webbrowser
from collections.abc import AsyncIterator
from typing import Annotated

import tyro

from dfa_nerfstudio.app.app_config import AppConfig
from dfa_nerfstudio.errors import UserError


def serve_app(config: Annotated[AppConfig, tyro.conf.arg(name="")]) -> None:
    """Serves a page in the browser until it is interrupted: film a person, learn them, and make them say any audio.

    Args:
        config: where the page is served, and where people are kept.

    Raises:
        UserError: if the extra `app` is not installed, or the address is not free.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # gradio reads both when it is imported
    os.environ["GRADIO_TEMP_DIR"] = str(config.library.resolve() / ".uploads")
    try:
        import gradio as gr
        import uvicorn
        from fastapi import FastAPI
        from gradio.themes import Default
    except ImportError as error:
        raise UserError(f"{error.name} is not installed; run pip install 'dfa-nerfstudio[app]'") from None
    from dfa_nerfstudio.app.job_queue import JobQueue
    from dfa_nerfstudio.app.library import Library
    from dfa_nerfstudio.app.page import CSS, build_page
    from dfa_nerfstudio.app.person_routes import add_person_routes
    from dfa_nerfstudio.app.viewer_process import ViewerProcess
    from dfa_nerfstudio.serve.access import AccessGuard
    from dfa_nerfstudio.serve.listener import listen

    listening = listen(config.host, config.port)
    token = config.token or (None if config.is_local else secrets.token_urlsafe(16))
    library = Library(config.library)
    queue, viewer = JobQueue(library.path), ViewerProcess(library, config.is_local)

    @contextlib.asynccontextmanager
    async def close_at_end(app: FastAPI) -> AsyncIterator[None]:
        yield
        viewer.close()
        queue.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=close_at_end)

    add_person_routes(app, library)
    fonts = ["ui-sans-serif", "system-ui", "sans-serif"]  # of the computer: gradio's come from another host
    gr.mount_gradio_app(
        app,
        build_page(library, queue, viewer),
        path="/",
        server_name=config.host,
        allowed_paths=[str(library.path)],
        blocked_paths=[str(path) for path in library.path.glob(".jobs")],
        max_file_size=f"{config.max_upload_mb}mb",
        show_error=True,
        footer_links=[],
        ssr_mode=False,
        theme=Default(font=fonts, font_mono=["ui-monospace", "monospace"]),
        css=CSS,
    )
    guarded = AccessGuard(app, config.host, token)
    host = socket.gethostname() if config.host in ("0.0.0.0", "::") else config.host
    address = f"http://{host}:{listening.getsockname()[1]}/" + (f"?token={token}" if token else "")
    print(f"dfa-app: {address} (people in {library.path}); Ctrl-C ends it", flush=True)
    if config.browser:
        threading.Timer(1.0, webbrowser.open, [address]).start()
    uvicorn.Server(uvicorn.Config(guarded, log_level="warning")).run(sockets=[listening])
