"""Command `dfa-talk`: renders a talking video from any audio."""

from __future__ import annotations

from dfa_nerfstudio.errors import exit_on_user_error


def main() -> None:
    """Entry point."""
    with exit_on_user_error():  # imports included, which take a second
        import tyro

        from dfa_nerfstudio.talk.talk_command import talk

        tyro.cli(talk, prog="dfa-talk")


if __name__ == "__main__":
    main()
