"""`dfa-attributes DIR`: trains the sequence models on a dataset folder and writes its attribute track."""

from __future__ import annotations

from dfa_nerfstudio.errors import exit_on_user_error


def main() -> None:
    """Entry point."""
    with exit_on_user_error():
        import tyro

        from dfa_nerfstudio.attributes.training import train_attributes

        tyro.cli(train_attributes, prog="dfa-attributes")
