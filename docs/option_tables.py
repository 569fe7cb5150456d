"""Sphinx extension: tables of a command's options, made from its parser, and equations as MathML.

MathML needs no script and no font from another host; docutils converts it from LaTeX.
"""

from __future__ import annotations

import re
from argparse import Action
from html import escape
from typing import Any, ClassVar

from command_lines import command
from docutils import nodes
from docutils.statemachine import StringList
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class OptionTable(SphinxDirective):
    """`{options} dfa-talk`: the options of a command, or of a subcommand (`{options} dfa-eval ablate`).

    `prefix` selects options by the beginning of their names, and makes a table of each group; `except` leaves some out.
    """

    required_arguments, optional_arguments, final_argument_whitespace = 1, 0, True
    option_spec: ClassVar = {"prefix": str, "except": str}

    def run(self) -> list[nodes.Node]:
        name, *subcommand = self.arguments[0].split()
        prefix, left_out = self.options.get("prefix", ""), self.options.get("except")
        groups: dict[str, list[str]] = {}
        for action in command(name, subcommand).parser()._actions:
            option = (action.option_strings or [""])[0].removeprefix("--")
            if "--help" in action.option_strings or not option.startswith(prefix):
                continue
            if not (left_out and option.startswith(left_out)):
                group = option.rpartition(".")[0] if prefix else ""
                groups.setdefault(group, []).append(_row(action, f"--{group}." if group else ""))
        lines = []
        for group, rows in groups.items():
            lines += [f"**`--{group}`**...", ""] if group else []
            lines += ["| option | default | meaning |", "|---|---|---|", *rows, ""]
        container = nodes.container(classes=["options"])
        self.state.nested_parse(StringList(lines, self.get_source_info()[0]), self.content_offset, container)
        return [container]


def _row(action: Action, begin: str) -> str:
    """A line of the table, in which the option's name begins after `begin`."""
    text = " ".join((action.help or "").replace("%%", "%").split())
    text, default = re.fullmatch(r"(.*?)(?: \((default: .*|required)\))?", text).groups()
    default = (default or "").removeprefix("default: ").strip()
    value = re.sub(r"^\{None\}\|", "", str(action.metavar or "")) if action.nargs != 0 else ""
    value = re.sub(r"^\[*([A-Z]+|\{.*?\}) \[.*", r"\1 ...", value)  # any number of values
    value = re.sub(r"[{}]", "", value).replace(",", " | ")
    if action.option_strings:
        flag = action.option_strings[0]
        name = f"{flag.replace(begin, '.') if begin else flag} {value}".strip()
    else:
        name = action.dest.rpartition(".")[2].upper()
    shown = {"None": "", "False": "off", "True": "on", "required": "*required*"}.get(
        default, default and f"`{default}`"
    )
    if re.fullmatch(r"`0\.\d{6,}`", shown):
        shown = f"`{float(default):.3f}`"
    text = text[:1].upper() + text[1:]
    cells = (f"`{name}`", shown, text.replace("<", "&lt;"))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _visit_inline_math(translator: Any, node: nodes.math) -> None:
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def _visit_math_block(translator: Any, node: nodes.math_block) -> None:
    number = f'<span class="eqno">({escape(node["number"])})</span>' if node.get("number") else ""
    translator.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}{number}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the directive and the renderer."""
    app.add_directive("options", OptionTable)
    app.add_html_math_renderer("mathml", (_visit_inline_math, None), (_visit_math_block, None))
    return {"parallel_read_safe": True}
