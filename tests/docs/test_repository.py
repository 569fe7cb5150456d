"""README, citation, pictures and the workflow for GitHub."""

from __future__ import annotations

import re
import subprocess

import yaml

from tests.docs.pages import ROOT

MAX_PICTURES_BYTES = 600_000


def test_the_readme_is_short() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    results = text.partition("## Results")[2].partition("\n## ")[0]
    assert len(re.findall(r"^\|-", results, re.MULTILINE)) <= 3


def test_pictures_are_small() -> None:
    assert sum(path.stat().st_size for path in (ROOT / "docs/pictures").iterdir()) < MAX_PICTURES_BYTES


def test_the_citation_is_that_of_the_readme() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    readme = (ROOT / "README.md").read_text()
    assert {"cff-version", "message", "title", "authors", "license", "version"} <= citation.keys()
    assert f'version = "{citation["version"]}"' in (ROOT / "pyproject.toml").read_text()
    paper = citation["preferred-citation"]
    assert " and ".join(f"{author['family-names']}, {author['given-names']}" for author in paper["authors"]) in readme
    assert paper["title"].removeprefix("DFA-NeRF: ") in readme and paper["url"] in readme


def test_the_workflow_runs_targets_that_exist() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert workflow[True]  # YAML 1.1 reads `on` as true
    targets = []
    for job in workflow["jobs"].values():
        checks = job["strategy"]["matrix"]["check"]
        assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"]) for step in job["steps"] if "uses" in step)
        for step in job["steps"]:
            for check in checks:
                targets += re.findall(r"make ([\w-]+)", step.get("run", "").replace("${{ matrix.check }}", check))
    assert {"install", "lint", "test", "docs"} <= set(targets)
    for target in set(targets):
        subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)
