"""Command `dfa-serve`: serves a trained person as a live avatar."""

from __future__ import annotations

from dfa_nerfstudio.errors import exit_on_user_error


def main() -> None:
    """Entry point."""
    with exit_on_user_error():  # imports included, which take a second
        import tyro

        from dfa_nerfstudio.serve.serve_command import serve

        tyro.cli(serve, prog="dfa-serve")


if __name__ == "__main__":
    main()
