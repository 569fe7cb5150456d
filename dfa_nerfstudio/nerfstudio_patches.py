"""Changes to nerfstudio 1.1.5, to its viewer and to torch, each with its reason; nothing else here patches anything.

Importing this module changes nothing. `TalkingHeadPipeline` calls `apply_patches` before it builds anything, which is
before nerfstudio opens a checkpoint or exports.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Any, NoReturn
from urllib.parse import urlsplit

import numpy as np
import torch

from dfa_nerfstudio.errors import UserError, exit_on_user_error

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
"""Hosts of the web pages that may connect to a server that listens on one of them."""


def apply_patches() -> None:
    """Applies all patches; further calls change nothing."""
    allow_numpy_scalars_in_checkpoints()
    broadcast_shapes_without_sympy()
    _refuse_geometry_export()
    _guard_viewer_server()


def allow_numpy_scalars_in_checkpoints() -> None:
    """Lets torch >= 2.6 open nerfstudio's checkpoints.

    Since torch 2.6 `torch.load` unpickles only what it knows, and the state of nerfstudio's schedulers holds numpy
    scalars. numpy 2 renamed the module of their constructor. Both names are registered, so that a checkpoint written
    under one numpy opens under the other.
    """
    scalar = np.float64(0).__reduce__()[0]
    allowed: list[Any] = [
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        *{type(np.dtype(kind)) for kind in (np.float32, np.float64, np.int64)},
    ]
    torch.serialization.add_safe_globals(allowed)


def broadcast_shapes_without_sympy() -> None:
    """Lets nerfstudio build cameras and rays half a second earlier.

    Each of them broadcasts shapes. torch's function imports sympy for that, in case a size is a symbol.
    """
    original = torch.functional.broadcast_shapes
    if original.__module__ == __name__:
        return

    def broadcast_shapes(*shapes: Any) -> torch.Size:
        if not all(isinstance(shape, tuple) and all(type(size) is int for size in shape) for shape in shapes):
            return original(*shapes)
        try:
            return torch.Size(np.broadcast_shapes(*shapes))
        except ValueError as error:
            raise RuntimeError(str(error)) from None

    torch.functional.broadcast_shapes = torch.broadcast_shapes = broadcast_shapes


def _refuse_geometry_export() -> None:
    """Makes `ns-export pointcloud`, `poisson` and `tsdf` end with one clear line.

    nerfstudio 1.1.5 would look for a pixel sampler and normals that this method does not have, and end in a
    traceback. `ns-export cameras` works and stays as it is.
    """
    exporter = sys.modules.get("nerfstudio.scripts.exporter")
    if exporter is None:
        return

    def refuse(*_: Any, **__: Any) -> NoReturn:
        with exit_on_user_error():
            raise UserError(
                "ns-export: a talking head has another shape in every frame, so there is no single mesh or point "
                "cloud to export; render it with dfa-talk or ns-render"
            )
        raise AssertionError  # exit_on_user_error has ended the program

    exporter.validate_pipeline = refuse  # pyright: ignore[reportAttributeAccessIssue]
    exporter.tsdf_utils.export_tsdf_mesh = refuse


def _guard_viewer_server() -> None:
    """Lets the viewer's server send its own files alone, and refuses web pages of other hosts.

    viser 0.2.7 sends any file of the machine to who asks for a path with `..`. And a browser lets every page connect to
    this machine: a page from elsewhere could use the viewer's controls, which write files.
    """
    infra = sys.modules.get("viser.infra._infra")
    if infra is None or infra.websockets.server.serve.__module__ == __name__:
        return
    serve = infra.websockets.server.serve

    def guarded_serve(handler: Any, host: str, port: int, *, process_request: Any, **options: Any) -> Any:
        async def check(path: str, headers: Mapping[str, str]) -> Any:
            if ".." in PurePosixPath(path.partition("?")[0]).parts or is_foreign_page(headers, host):
                return HTTPStatus.FORBIDDEN, {}, b"refused: pages of other hosts, and paths with ..\n"
            return None if process_request is None else await process_request(path, headers)

        return serve(handler, host, port, process_request=check, **options)

    infra.websockets.server.serve = guarded_serve


def is_foreign_page(headers: Mapping[str, str], host: str) -> bool:
    """Whether a request comes from a web page of another host than the server's.

    Args:
        headers: of the request.
        host: address that the server listens on.

    Example:
        >>> is_foreign_page({"Origin": "https://example.org", "Host": "127.0.0.1:7007"}, "127.0.0.1")
        True
        >>> is_foreign_page({"Origin": "http://me:7007", "Host": "me:7007"}, "0.0.0.0")
        False
        >>> is_foreign_page({"Host": "127.0.0.1:7007"}, "127.0.0.1")  # of a program
        False
    """
    origin = headers.get("Origin")
    if origin is None:
        return False
    page = urlsplit(origin)
    if host in LOCAL_HOSTS:
        return page.hostname not in LOCAL_HOSTS
    return page.netloc != headers.get("Host")
