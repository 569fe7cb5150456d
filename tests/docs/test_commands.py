"""Every command line of README and docs is one that the command's own parser takes; none is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.command_lines import (
    InvalidCommandLine,
    all_flags,
    benchmark_flags,
    check_line,
    check_mention,
    console_scripts,
    split_commands,
)
from tests.docs.pages import DOCS, HISTORY, ON_GITHUB, ROOT, code_spans, shell_lines

PAGES = [page for page in (*ON_GITHUB, *DOCS) if page not in HISTORY]
OTHER_FLAGS = {"--help"}
"""Options of everything."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of(page: Path) -> None:
    problems, about_benchmarks = [], "benchmarks" in page.parts
    known = all_flags() | OTHER_FLAGS | (benchmark_flags() if about_benchmarks else frozenset())
    for example in shell_lines(page):
        try:
            check_line(example.text)
        except InvalidCommandLine as error:
            problems.append(f"{example.place}: {example.text}\n    {error}")
    for example in code_spans(page):
        first = example.text.split()[0] if example.text.strip() else ""
        try:
            if first.startswith("--"):
                used = {word.partition("=")[0] for word in example.text.split() if word.startswith("--")}
                if unknown := used - known:
                    raise InvalidCommandLine(f"no command has the option {unknown.pop()}")
            elif first in console_scripts() or (first in ("make", "pip") and " " in example.text):
                check_mention(example.text)
        except InvalidCommandLine as error:
            problems.append(f"{example.place}: {example.text}\n    {error}")
    assert not problems, "\n".join(problems)


def test_every_command_has_examples() -> None:
    shown = {words[0] for page in PAGES for line in shell_lines(page) for words in split_commands(line.text)}
    assert {name for name in console_scripts() if name.startswith("dfa-")} <= shown


@pytest.mark.parametrize(
    "line",
    [
        "dfa-process me.mp4 --output data/me --sise 128",
        "dfa-process me.mp4",  # --output is required
        "dfa-process me.mp4 --output data/me --size 33",  # odd
        "dfa-process me.mp4 --output data/me --camera follow",
        "dfa-attributes data/me --models.lips.feature mfcc",
        "dfa-attributes pretrian data/ --output models.pt",
        "dfa-talk --load-config CONFIG --audio speech.wav --otput talking.mp4",
        "arecord -r 16000 | dfa-talk --load-config CONFIG --live --listn 8765 | ffplay -",
        "dfa-eval ablate data/me --minuts 3",
        "dfa-eval --load-config CONFIG --protocols whole",
        "dfa-demo make-clip --output clip.mp4 --second 24",
        "dfa-tlak --load-config CONFIG",
        "ns-train dfa-nerf-light --data data/me",
        "ns-train dfa-nerf --data data/me dfa-data --mouht f_a",
        "ns-train dfa-nerf --data data/me --pipeline.schedule.max-second 180",
        "make dmeo",
        "make bench BENCH=feild",
        "make bench BENCH='field --sizes-of 32'",
        "make fuzz FUZZ_SECOND=60",
        'pip install "dfa-nerfstudio[rai]"',
        "python -m benchmarks.train_general_lip FOLDER",
        "unknown-program --option",
    ],
)
def test_a_wrong_line_is_refused(line: str) -> None:
    with pytest.raises(InvalidCommandLine):
        check_line(line)


@pytest.mark.parametrize("text", ["dfa-process --sise 128", "dfa-eval abalte --minuts 3", "dfa-tlak", "make dmeo"])
def test_a_wrong_mention_is_refused(text: str) -> None:
    with pytest.raises(InvalidCommandLine):
        check_mention(text)


def test_a_mention_may_leave_arguments_out() -> None:
    for text in ("dfa-process --size 128", "dfa-eval ablate", "ns-train ... --vis tensorboard", "dfa-talk"):
        check_mention(text)
