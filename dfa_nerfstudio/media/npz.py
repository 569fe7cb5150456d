"""Writing and reading `.npz` files, with clear errors, and checking the arrays that they hold."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar, get_type_hints

import numpy as np
from jaxtyping import jaxtyped

from dfa_nerfstudio.atomic_write import atomic_write
from dfa_nerfstudio.errors import UserError, brief
from dfa_nerfstudio.media.chunks import chunk_slices
from dfa_nerfstudio.media.frame_rows import FrameRows

MAX_INFLATION = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: 1032}
"""Largest ratio of the size of an array's file to its size in the `.npz`, by method of compression."""
MAX_MAGNITUDE = 1e6
"""Largest magnitude of a number that is read. All attributes are far smaller in their units: pixels, seconds, distances
of the eye corners, MFCC."""

T = TypeVar("T")


def save_npz(path: Path, arrays: Mapping[str, Any], compress: bool = False) -> None:
    """Writes arrays to an `.npz` file, atomically.

    numpy.savez leaves the file open where the disk is full, so that the interpreter prints a traceback in the end.

    Args:
        path: the file.
        arrays: arrays, `FrameRows`, or what numpy makes arrays of, by name.
        compress: whether to compress them.
    """
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with atomic_write(path) as partial, zipfile.ZipFile(partial, "w", method) as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                _write_array(member, values if isinstance(values, FrameRows) else np.asanyarray(values))


def _write_array(file: IO[bytes], values: np.ndarray | FrameRows) -> None:
    """Writes an array in pieces, so that one which is kept in a file is never in memory as a whole."""
    if values.dtype.hasobject:
        raise ValueError("an array of objects would be pickled")
    descr = np.lib.format.dtype_to_descr(values.dtype)
    header = {"descr": descr, "fortran_order": False, "shape": values.shape}
    np.lib.format.write_array_header_1_0(file, header)
    if isinstance(values, np.ndarray) and not values.ndim:
        file.write(values.tobytes())
        return
    for piece in chunk_slices(len(values)):
        file.write(values[piece].tobytes())


def load_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an `.npz` file by name.

    Raises:
        UserError: if the file is missing, unreadable or truncated.
    """

    def read() -> dict[str, np.ndarray]:
        size = path.stat().st_size
        with zipfile.ZipFile(path) as archive:
            return {
                info.filename.removesuffix(".npy"): _read_member(archive, info, size) for info in archive.infolist()
            }

    return _read_file(path, read)


def load_npy(path: Path) -> np.ndarray:
    """The array of an `.npy` file.

    Raises:
        UserError: if the file is missing, unreadable or truncated.
    """

    def read() -> np.ndarray:
        with path.open("rb") as file:
            return _read_array(file, os.fstat(file.fileno()).st_size)

    return _read_file(path, read)


def check_arrays(path: Path, arrays: Mapping[str, Any], owner: type, advice: str) -> None:
    """Checks arrays, or tensors, by the annotations of the class that has them as fields.

    Their types and numbers of dimensions must be those of the annotations, a dimension of one name must have the same
    size in all arrays, and floating-point numbers must be finite and at most `MAX_MAGNITUDE`.

    Args:
        path: the file that they were read from.
        arrays: arrays by name.
        owner: class with annotations such as `Float32[np.ndarray, "T 4"]`.
        advice: what to do about a wrong array.

    Raises:
        UserError: if an array is wrong.
    """
    annotations = get_type_hints(owner)
    with jaxtyped("context"):
        for name, values in arrays.items():
            if not isinstance(values, annotations[name]):
                raise UserError(
                    f"{path}: {name} is {values.dtype} {list(values.shape)} instead of {annotations[name].__name__}; "
                    f"{advice}"
                )
            is_numeric = 0 not in values.shape and "float" in str(values.dtype)
            if is_numeric and not (values.min() >= -MAX_MAGNITUDE and values.max() <= MAX_MAGNITUDE):
                raise UserError(
                    f"{path}: {name} holds numbers that are not finite, or above {MAX_MAGNITUDE:.0f}; {advice}"
                )


def _read_file(path: Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except MemoryError:  # the file is not at fault: its arrays are not larger than itself
        raise
    except Exception as error:  # of a damaged file, zipfile, zlib and numpy raise errors of any class
        raise UserError(f"{path}: unreadable or truncated ({brief(error)}); make it again") from None


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, archive_size: int) -> np.ndarray:
    if info.file_size > MAX_INFLATION[info.compress_type] * min(info.compress_size, archive_size):
        raise ValueError(f"{info.filename} has {info.file_size} bytes in a file of {archive_size}")
    with archive.open(info) as member:
        return _read_array(member, info.file_size)


def _read_array(file: IO[bytes], size: int) -> np.ndarray:
    """Reads an array in native byte order, after checking that a file of `size` bytes can hold it: a damaged header may
    claim any size, and numpy would allocate it."""
    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, _, dtype = headers[np.lib.format.read_magic(file)](file)
    if math.prod(shape) * dtype.itemsize > size - file.tell():
        raise ValueError(f"{dtype} {list(shape)} in {size - file.tell()} bytes")
    file.seek(0)
    array = np.lib.format.read_array(file, allow_pickle=False)
    return array.astype(array.dtype.newbyteorder("="), copy=False)
