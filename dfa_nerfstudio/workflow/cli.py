"""Command `dfa-make`: from a video of one person and any speech to a talking video."""

from __future__ import annotations

from dfa_nerfstudio.errors import exit_on_user_error


def main() -> None:
    """Entry point."""
    with exit_on_user_error():  # imports included, which take a second
        import tyro

        from dfa_nerfstudio.workflow.make_command import make

        tyro.cli(make, prog="dfa-make")


if __name__ == "__main__":
    main()
