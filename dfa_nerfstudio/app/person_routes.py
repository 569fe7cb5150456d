"""Addresses of a person's report, preview and evaluation, beside gradio's own."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse

from dfa_nerfstudio.app.library import Library
from dfa_nerfstudio.data.dataset_folder import REPORT_PAGE


def add_person_routes(app: FastAPI, library: Library) -> None:
    """Adds `/people/NAME/report`, `/people/NAME/preview` and `/people/NAME/evaluation`; 404 where there is no file."""

    def file_of(name: str, path: Path | None) -> FileResponse:
        if name not in library.names() or path is None or not path.is_file():
            raise HTTPException(404, "there is no such page yet")
        return FileResponse(path)

    @app.get("/people/{name}/report")
    def report(name: str) -> FileResponse:
        return file_of(name, library.path / name / "data" / REPORT_PAGE)

    @app.get("/people/{name}/preview")
    def preview(name: str) -> FileResponse:
        return file_of(name, library.preview(name) if name in library.names() else None)

    @app.get("/people/{name}/evaluation")
    def evaluation(name: str) -> FileResponse:
        return file_of(name, library.evaluation(name) if name in library.names() else None)
