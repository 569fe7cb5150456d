"""The socket that a server listens on."""

from __future__ import annotations

import socket

from dfa_nerfstudio.errors import UserError


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens on an address. Call it before slow work, so that an occupied port is known at once.

    Raises:
        UserError: if the address or the port cannot be used.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise UserError(
            f"`host={host}` `port={port}`: cannot listen there ({error.strerror}); give another port"
        ) from None
