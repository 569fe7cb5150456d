"""The content of output files, by which two runs are compared: tensors, arrays and frames, but no time stamps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch
import yaml

UNREADABLE = "unreadable"
"""Item of a file that is truncated or damaged."""

DURATIONS = ("seconds", "stage_seconds")
"""Keys of durations, which are left out."""

Content = dict[str, str]
"""Digest or text of each item of a file: array, tensor, value, stream."""


def folder_content(folder: Path) -> dict[str, Content]:
    """Content of every file below a folder, by relative path; without hidden files, and tensorboard's, which are logs.

    A hidden file or folder is one that the program may leave when it is killed.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and "tfevents" not in path.name]
    names = [path.relative_to(folder) for path in paths]
    return {str(name): file_content(folder / name) for name in names if not is_hidden(name)}


def is_hidden(path: Path) -> bool:
    """Whether a relative path is hidden, or inside a hidden folder."""
    return any(part.startswith(".") for part in path.parts)


def file_content(path: Path) -> Content:
    """The items of a file; `UNREADABLE` alone, with the reason, for one that cannot be read to its end."""
    try:
        return dict(_items(path))
    except Exception as error:  # readers of damaged files raise errors of any class
        return {UNREADABLE: f"{type(error).__name__}: {error}"}


def _items(path: Path) -> Iterator[tuple[str, str]]:
    match path.suffix:
        case ".json":
            yield from _leaves(json.loads(path.read_text()))
        case ".npz":
            with np.load(path) as arrays:
                yield from _leaves({name: arrays[name] for name in arrays.files})
        case ".pt" | ".ckpt":
            yield from _leaves(torch.load(path, map_location="cpu", weights_only=False))
        case ".mp4":
            yield from _streams(path)
        case ".png" | ".jpg":
            yield "pixels", _digest(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
        case ".yml":
            yaml.compose(path.read_text())
            yield "text", path.read_text()
        case ".html":
            text = path.read_text()
            if not text.rstrip().endswith("</html>"):
                raise ValueError("the page is broken off")
            yield "text", _digest(np.frombuffer(text.encode(), np.uint8))
        case _:
            yield "bytes", _digest(np.frombuffer(path.read_bytes(), np.uint8))


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, part in ((key, part) for key, part in value.items() if key not in DURATIONS):
            yield from _leaves(part, f"{name}/{key}")
    elif isinstance(value, (list, tuple)):
        for number, part in enumerate(value):
            yield from _leaves(part, f"{name}/{number}")
    elif isinstance(value, (torch.Tensor, np.ndarray)):
        yield name, _digest(np.asarray(value))
    else:
        yield name, repr(value)


def _streams(path: Path) -> Iterator[tuple[str, str]]:
    for kind in ("video", "audio"):
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray() for frame in container.decode(**{kind: 0})]
        yield kind, f"{len(frames)} frames, {_digest(np.concatenate(frames, axis=-1))}"


def _digest(values: np.ndarray) -> str:
    digest = hashlib.sha256(f"{values.dtype} {values.shape}".encode())
    digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:12]
