"""Damage to files, and the promise that readers keep: a valid result, or one line that names the file.

Damage is drawn as a short recipe, which a failing test shows and an explicit example can repeat.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import resource
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from hypothesis import strategies as st

from dfa_nerfstudio.errors import UserError

T = TypeVar("T")
MAX_EXTRA_BYTES = 1 << 30
"""Memory beyond that of the process that a reader of a small file may take."""
MAX_MESSAGE = 900
"""Letters of the longest message, which may name a long path."""

ODD_NUMBERS = (0, -1, 1, 2, 7, 2**31, 2**63, 10**400, 0.5, -0.0, 1e-320, 1e7, 1e308, float("nan"), float("inf"))
ODD_TEXTS = ("", "1", "nan", "images", "../../../etc/passwd", "/dev/zero", "a\0b", "\ud800", "é" * 300, "a\nb")
odd_values = st.one_of(
    st.sampled_from([None, True, False, *ODD_NUMBERS, *ODD_TEXTS, [], {}, [[]], [None], [1.0, 2.0], [[[[1]]]]]),
    st.floats(width=32),
    st.integers(-(2**70), 2**70),
)


class JsonDamage(NamedTuple):
    """Change of one value of a JSON document."""

    path: tuple[str | int, ...]
    change: str
    value: Any

    def apply(self, document: Any) -> None:
        """Changes the document in place; nothing where it has no such value any more."""
        *parents, key = self.path
        node = document
        with contextlib.suppress(KeyError, IndexError, TypeError):
            for parent in parents:
                node = node[parent]
            old = node[key]
            if self.change == "replace":
                node[key] = self.value
            elif self.change == "delete":
                del node[key]
            elif self.change == "rename" and isinstance(node, dict):
                node["renamed"] = node.pop(key)
            elif self.change == "repeat" and isinstance(node, list):
                node.insert(key, copy.deepcopy(old))
            elif self.change == "swap" and isinstance(node, list):
                node[key], node[0] = node[0], old


def json_damages(paths: st.SearchStrategy[tuple[str | int, ...]]) -> st.SearchStrategy[list[JsonDamage]]:
    """Up to three changes of values at the given paths."""
    changes = st.sampled_from(["replace", "replace", "delete", "rename", "repeat", "swap"])
    return st.lists(st.builds(JsonDamage, paths, changes, odd_values), min_size=1, max_size=3)


def damaged_json(content: bytes, damages: Sequence[JsonDamage]) -> bytes:
    document = json.loads(content)
    for damage in damages:
        damage.apply(document)
    return json.dumps(document).encode()


class ByteDamage(NamedTuple):
    """Change of the bytes of a file from `start` on, which counts from its beginning again where the file ends."""

    change: str
    start: int
    data: bytes

    def apply(self, content: bytes) -> bytes:
        start = self.start % max(len(content), 1)
        stop = start + len(self.data)
        old = content[start:stop]
        new = {
            "cut": b"",
            "delete": b"",
            "set": self.data,
            "insert": self.data + old,
            "repeat": old + old,
            "zero": bytes(len(old)),
            "flip": bytes(a ^ b for a, b in zip(old, self.data, strict=False)),
        }[self.change]
        return content[:start] + new + (b"" if self.change == "cut" else content[stop:])


byte_damages = st.builds(
    ByteDamage,
    st.sampled_from(["cut", "delete", "set", "insert", "repeat", "zero", "flip", "flip"]),
    st.integers(0, 600) | st.integers(0, 2**20),
    st.binary(min_size=1, max_size=2) | st.binary(min_size=1, max_size=64),
)
OTHER_FILES = (b"", b"{}", b"[]", b"null", b"[" * 100_000, b"\xff\xfe{", b"PK\3\4", b"\x93NUMPY", b"RIFF", b"\0" * 99)


class ArrayDamage(NamedTuple):
    """Change of one array: its type, its shape, or the number at a position."""

    name: str
    change: str
    argument: Any
    position: int = 0

    def apply(self, array: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"), contextlib.suppress(OverflowError, ValueError, TypeError, IndexError):
            if self.change == "type":
                return array.astype(self.argument)
            if self.change == "rows":
                return np.concatenate([array, array])[: self.argument]
            if self.change == "axes":
                return array[None]
            if self.change == "transpose":
                return array.T
            if self.change == "scalar":
                return np.asarray(array.flat[0])
            if self.change == "empty":
                return array[..., :0]
            array = array.copy()
            array.flat[self.position % max(array.size, 1)] = self.argument
        return array


def array_damages(names: Sequence[str]) -> st.SearchStrategy[ArrayDamage]:
    """A change of one of the named arrays."""
    types = ("f2", "f8", ">f4", ">i4", "i4", "i8", "u2", "?", "c8", "g", "U3", "S2", "O", "M8[s]")
    name = st.sampled_from(names)
    return st.one_of(
        st.builds(ArrayDamage, name, st.just("type"), st.sampled_from(types)),
        st.builds(ArrayDamage, name, st.just("rows"), st.integers(0, 3) | st.integers(30, 60)),
        st.builds(ArrayDamage, name, st.sampled_from(["axes", "transpose", "scalar", "empty"]), st.none()),
        st.builds(
            ArrayDamage,
            name,
            st.just("value"),
            st.sampled_from(ODD_NUMBERS) | st.floats(width=32),
            st.integers(0, 2**20),
        ),
    )


class ArchiveDamage(NamedTuple):
    """Change of an `.npz`: an array missing, under another name, or with a header that promises another shape."""

    name: str
    change: str
    argument: Any


def archive_damages(names: Sequence[str]) -> st.SearchStrategy[ArchiveDamage]:
    """A change of the archive that holds the named arrays."""
    shapes = ((10**12,), (10**6, 10**6), (0, 10**30), (-2, -3), (2**62, 4), (10**9, 0), (1,))
    name = st.sampled_from(names)
    return st.one_of(
        st.builds(ArchiveDamage, name, st.just("drop"), st.none()),
        st.builds(ArchiveDamage, name, st.just("rename"), st.sampled_from(["", "extra", "../x", "ü"])),
        st.builds(ArchiveDamage, name, st.just("header"), st.tuples(st.sampled_from(shapes), st.sampled_from(TYPES))),
    )


TYPES = ("<f4", "<U0", "|O", "<U100000000", "[('a', '<f4')]", "nonsense")
"""Types that a header may name."""


def damaged_npz(
    arrays: dict[str, np.ndarray], damage: ArrayDamage | ArchiveDamage | ByteDamage, compressed: bool
) -> bytes:
    """An `.npz` of the arrays with the damage."""
    arrays, headers = dict(arrays), dict[str, Any]()
    if isinstance(damage, ArrayDamage):
        arrays[damage.name] = damage.apply(arrays[damage.name])
    elif isinstance(damage, ArchiveDamage) and damage.change == "header":
        shape, descr = damage.argument
        headers[damage.name] = {"shape": shape, "fortran_order": False, "descr": descr}
    elif isinstance(damage, ArchiveDamage):
        array = arrays.pop(damage.name)
        if damage.change == "rename":
            arrays[damage.argument] = array
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                if name in headers:
                    np.lib.format.write_array_header_1_0(member, headers[name])
                    member.write(np.asarray(values).tobytes()[:1000])
                else:
                    np.lib.format.write_array(member, np.asarray(values))
    return damage.apply(file.getvalue()) if isinstance(damage, ByteDamage) else file.getvalue()


def npz_damages(names: Sequence[str]) -> st.SearchStrategy[ArrayDamage | ArchiveDamage | ByteDamage]:
    return st.one_of(array_damages(names), array_damages(names), archive_damages(names), byte_damages)


def reads(read: Callable[[], T], folder: Path) -> T | None:
    """The result of a reader; None if it refuses a file of the folder as it must: by one line that names the file."""
    with limited_memory():
        try:
            return read()
        except UserError as error:
            message = str(error)
    assert str(folder) in message and len(message) < MAX_MESSAGE, message
    return None


@contextlib.contextmanager
def limited_memory() -> Iterator[None]:
    """Lets allocations fail that are larger than files of a few hundred kilobytes need."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MAX_EXTRA_BYTES, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
