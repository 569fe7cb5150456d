"""Writes docs/licences.md: the licences of this package and of all packages that it needs, as pip-licenses reads them.

`make licences` runs this in the environment of `make install`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PAGE = Path(__file__).with_name("licences.md")
FROM_LICENCE_FILES = {
    "cuda-toolkit": "LicenseRef-NVIDIA-Proprietary",
    "gsplat": "Apache-2.0",
    "nerfacc": "MIT",
    "vhacdx": "MIT",
}
"""Licences of packages whose metadata name none, as their licence files, or their homepages, have them."""
EXCEPTIONS = {
    "plyfile": "GPL-3.0-or-later. viser asks for it at installation, and does not import it either.",
    "pymeshlab": "GPL-3.0. nerfstudio asks for it at installation, and imports it in `ns-export` alone.",
}
"""Packages under the GPL that an installation brings and that no command of this package imports, with the reason."""
GPL = re.compile(r"(?<![Ll])GPL|(?<!Lesser )General Public License", re.IGNORECASE)
HEADER = """# Licences

Written by `make licences`. This package is under Apache-2.0. It installs the packages below on Linux with Python 3.11;
the licences are those that their metadata name.

Nothing under the GPL or the AGPL is imported by a command of this package, with one exception.

**FFmpeg in the wheel of `av`.** PyAV itself is under BSD-3-Clause. Its wheel carries FFmpeg, which says of itself "LGPL
version 3 or later", and the encoders libx264 and libx265, which are under GPL-2.0-or-later (or a commercial licence).
Outputs named `.mp4` are encoded by libx264, those named `.webm` by libvpx (BSD). Who distributes these libraries
together with this package has to observe the GPL; to avoid it, build PyAV against an FFmpeg without them.

Two packages under the GPL are installed and never imported:

"""


def runtime_packages(name: str = "dfa-nerfstudio") -> set[str]:
    """Names of the installed packages that one needs, itself included, without its extras."""
    found: set[tuple[str, frozenset[str]]] = set()

    def visit(package: str, extras: frozenset[str]) -> None:
        package = canonicalize_name(package)
        if (package, extras) in found:
            return
        found.add((package, extras))
        for text in metadata.requires(package) or []:
            requirement = Requirement(text)
            environments = [{"extra": extra} for extra in ("", *extras)]
            if requirement.marker is None or any(map(requirement.marker.evaluate, environments)):
                visit(requirement.name, frozenset(requirement.extras))

    visit(name, frozenset())
    return {package for package, _ in found}


def read_licences(packages: set[str]) -> list[dict[str, str]]:
    """Name, Version, License and URL of each package, by pip-licenses."""
    command = ["--python", sys.executable, "--from", "mixed", "--format", "json", "--with-urls", "--with-system"]
    output = subprocess.run(
        [sys.executable, "-m", "piplicenses", *command, "--packages", *sorted(packages)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    rows = json.loads(output)
    for row in rows:
        row["Name"] = canonicalize_name(row["Name"])
        row["License"] = FROM_LICENCE_FILES.get(row["Name"], row["License"].strip().splitlines()[0][:100])
    return sorted(rows, key=lambda row: row["Name"])


def is_gpl(licence: str) -> bool:
    """Whether a licence is the GPL or the AGPL, with no other one to choose."""
    return all(GPL.search(choice) for choice in re.split(r"\bOR\b", licence))


def main() -> None:
    """Writes the page.

    Raises:
        SystemExit: if a package is under the GPL that `EXCEPTIONS` does not name, or has no licence.
    """
    rows = read_licences(runtime_packages())
    for row in rows:
        if row["License"] == "UNKNOWN" or (is_gpl(row["License"]) and row["Name"] not in EXCEPTIONS):
            raise SystemExit(f"error: {row['Name']} {row['Version']} is under: {row['License']}")
    lines = [f"- `{name}`: {reason}" for name, reason in EXCEPTIONS.items()]
    lines += ["", "| package | version | licence |", "|---|---|---|"]
    for row in rows:
        name = f"[{row['Name']}]({row['URL']})" if row["URL"] != "UNKNOWN" else row["Name"]
        lines.append(f"| {name} | {row['Version']} | {row['License']} |")
    PAGE.write_text(HEADER + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
