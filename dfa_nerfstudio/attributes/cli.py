"""Command `dfa-attributes`: trains one person's attribute models; `pretrain` and `inspect` are subcommands."""

from __future__ import annotations

import inspect
import sys

from dfa_nerfstudio.errors import exit_on_user_error

USAGE = """Other commands: `dfa-attributes pretrain FOLDERS...` trains on many people, `dfa-attributes inspect DIR`
writes a page about the trained models."""


def main() -> None:
    """Entry point."""
    with exit_on_user_error():
        import tyro

        match sys.argv[1:]:
            case ["pretrain", *rest]:
                from dfa_nerfstudio.attributes.pretrain import pretrain

                tyro.cli(pretrain, prog="dfa-attributes pretrain", args=rest)
            case ["inspect", *rest]:
                from dfa_nerfstudio.attributes.inspection.inspection_page import inspect_attributes

                tyro.cli(inspect_attributes, prog="dfa-attributes inspect", args=rest)
            case arguments:
                from dfa_nerfstudio.attributes.train_attributes import train_attributes

                summary = (inspect.getdoc(train_attributes) or "").partition("\n\nArgs:")[0]
                description = f"{summary}\n\n{USAGE}"
                tyro.cli(train_attributes, prog="dfa-attributes", description=description, args=arguments)
