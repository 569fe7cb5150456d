"""Versions of the file formats: a file of a newer version of this program is refused as such."""

from __future__ import annotations

from pathlib import Path

from dfa_nerfstudio.errors import UserError

INSTALL = "pip install --upgrade dfa-nerfstudio"


def check_format_version(source: Path | str, found: object, readable: int, remedy: str) -> None:
    """Checks that this program reads a file's version.

    Args:
        source: the file, for the error.
        found: version that the file has.
        readable: version that this program reads.
        remedy: what to do about a file of an older version.

    Raises:
        UserError: if it is another version.

    Example:
        >>> check_format_version("me/transforms.json", 3, 2, "run dfa-process again")
        Traceback (most recent call last):
        ...
        dfa_nerfstudio.errors.UserError: me/transforms.json: made by a newer version of this program (format 3, this \
one reads 2); install it with: pip install --upgrade dfa-nerfstudio
    """
    if isinstance(found, int) and found == readable:
        return
    if isinstance(found, int) and found > readable:
        raise UserError(
            f"{source}: made by a newer version of this program (format {found}, this one reads {readable}); install "
            f"it with: {INSTALL}"
        )
    raise UserError(f"{source}: format {found!r}, but this program reads {readable}; {remedy}")
