"""What is known of every frame, kept in files, so that memory does not grow with the video."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Int, Shaped

from dfa_nerfstudio.media.chunks import chunk_slices


class TemporaryFiles(contextlib.ExitStack):
    """Temporary files without names in one folder, which is on the disk that receives the other results.

    They are closed together at the end of a `with` block, which frees the disk. They also vanish when the process is
    killed.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def create(self) -> IO[bytes]:
        """Creates a file for writing and reading."""
        file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed with the others
        self.callback(_close, file)
        return file

    def rows(self, row_shape: tuple[int, ...], dtype: type[np.generic]) -> FrameRows:
        """Creates a file for rows of one shape."""
        return FrameRows(self.create(), row_shape, dtype)


def _close(file: IO[bytes]) -> None:
    with contextlib.suppress(OSError):  # of a full disk: nobody needs what is not written yet
        file.close()


class FrameRows:
    """T rows of one shape in a file, which are appended in order, then read and replaced in pieces.

    Several threads may use them.

    Example:
        >>> rows = FrameRows(tempfile.TemporaryFile(), (2,), np.float32)
        >>> for value in range(5):
        ...     rows.append(np.full(2, value))
        >>> rows[1:3].tolist(), rows[np.array([4, 0])].tolist()
        ([[1.0, 1.0], [2.0, 2.0]], [[4.0, 4.0], [0.0, 0.0]])
        >>> rows.map(lambda chunk: chunk[:, 0]).tolist()
        [0.0, 1.0, 2.0, 3.0, 4.0]
    """

    def __init__(self, file: IO[bytes], row_shape: tuple[int, ...], dtype: type[np.generic]) -> None:
        """
        Args:
            file: empty, open for writing and reading.
            row_shape: shape of a row.
            dtype: type of its elements.
        """
        self._file = file
        self.row_shape, self.dtype = row_shape, np.dtype(dtype)
        self._row_bytes = int(np.prod(row_shape)) * self.dtype.itemsize
        self._lock = threading.Lock()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all rows together."""
        return len(self), *self.row_shape

    def append(self, row: Shaped[np.ndarray, "..."]) -> None:
        """Adds the row of the next frame."""
        self._write(self._count, np.broadcast_to(row, self.row_shape))
        self._count += 1

    def __getitem__(self, index: int | slice | Int[np.ndarray, " N"]) -> Shaped[np.ndarray, "..."]:
        """Reads one row, consecutive rows, or rows of any numbers from 0 on."""
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            assert step == 1, "rows are read one after the other"
            return self._read(start, max(stop - start, 0))
        if isinstance(index, np.ndarray):
            result = np.empty((len(index), *self.row_shape), self.dtype)
            for row, number in zip(result, index.tolist(), strict=True):
                row[...] = self._read(number, 1)[0]
            return result
        return self._read(int(index), 1)[0]

    def __setitem__(self, index: slice | Int[np.ndarray, " N"], values: Shaped[np.ndarray, "N ..."]) -> None:
        """Replaces rows."""
        numbers = range(len(self))[index] if isinstance(index, slice) else index.tolist()
        for number, row in zip(numbers, values, strict=True):
            self._write(number, row)

    def map(self, function: Callable[[np.ndarray], np.ndarray]) -> Shaped[np.ndarray, "T ..."]:
        """Applies a function to chunks of rows, and concatenates what it returns."""
        # a copy of each, because a view would keep its chunk
        return np.concatenate([np.array(function(self[chunk])) for chunk in chunk_slices(len(self))])

    def _read(self, start: int, count: int) -> Shaped[np.ndarray, "n ..."]:
        assert 0 <= start <= start + count <= len(self), f"rows {start} to {start + count} of {len(self)}"
        with self._lock:
            self._file.seek(start * self._row_bytes)
            content = self._file.read(count * self._row_bytes)
        return np.frombuffer(bytearray(content), self.dtype).reshape(count, *self.row_shape)

    def _write(self, number: int, row: Shaped[np.ndarray, "..."]) -> None:
        with self._lock:
            self._file.seek(number * self._row_bytes)
            self._file.write(row.astype(self.dtype, copy=False).tobytes())
