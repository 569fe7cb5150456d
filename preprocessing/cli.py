"""Command `dfa-process`: converts a video of one person talking, or a folder of videos, to datasets."""

from __future__ import annotations

from dfa_nerfstudio.errors import exit_on_user_error


def main() -> None:
    """Entry point."""
    with exit_on_user_error():  # imports included, which take a second
        import tyro

        from dfa_nerfstudio.preprocessing.process_command import process

        tyro.cli(process, prog="dfa-process")


if __name__ == "__main__":
    main()
