"""Command `dfa-app`: a page in the browser, from filming oneself to talking videos."""

from __future__ import annotations

from dfa_nerfstudio.errors import exit_on_user_error


def main() -> None:
    """Entry point."""
    with exit_on_user_error():
        import tyro

        from dfa_nerfstudio.app.server import serve_app

        tyro.cli(serve_app, prog="dfa-app")


if __name__ == "__main__":
    main()
