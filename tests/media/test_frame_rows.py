"""Tests of arrays that are kept in a file, against arrays in memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np

from dfa_nerfstudio.face.landmark_tracker import interpolate_lost
from dfa_nerfstudio.media.frame_rows import FrameRows, TemporaryFiles
from dfa_nerfstudio.media.npz import load_npz, save_npz


def filled(values: np.ndarray, files: TemporaryFiles) -> FrameRows:
    rows = files.rows(values.shape[1:], values.dtype.type)
    for value in values:
        rows.append(value)
    return rows


def test_rows_are_those_of_an_array(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2500, 4, 3)).astype(np.float32)
    rows, some = filled(values, TemporaryFiles(tmp_path)), rng.integers(0, 2500, 300)
    assert not list(tmp_path.iterdir()), "nothing is left where the process is killed"
    for _ in range(2):
        np.testing.assert_array_equal(rows[some], values[some])
        np.testing.assert_array_equal(rows[990:2400], values[990:2400])
        np.testing.assert_array_equal(rows[7], values[7])
        np.testing.assert_array_equal(rows.map(lambda chunk: chunk[:, 1]), values[:, 1])
        np.testing.assert_array_equal(rows[:], values)
        rows[some] = values[some] = rng.normal(size=(300, 4, 3)).astype(np.float32)
        rows[10:20] = values[10:20] = 2 * values[10:20]
    save_npz(tmp_path / "rows.npz", {"rows": rows, "one": np.float32(3), "columns": values[:5].T})
    saved = load_npz(tmp_path / "rows.npz")
    np.testing.assert_array_equal(saved["rows"], values)
    np.testing.assert_array_equal(saved["columns"], values[:5].T)
    assert saved["one"] == 3 and saved["one"].shape == ()


def test_lost_rows_are_interpolated_in_the_file_as_in_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values, found = rng.normal(size=(60, 5)).astype(np.float32), rng.random(60) > 0.4
    rows = filled(values, TemporaryFiles(tmp_path))
    for part in (slice(0, 40), slice(40, 60)):
        interpolate_lost(rows, found, part)
        interpolate_lost(values[part], found[part])
    np.testing.assert_array_equal(rows[:], values)


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    rows, row = TemporaryFiles(tmp_path).rows((10_000,), np.float32), np.ones(10_000)
    tracemalloc.start()
    for _ in range(3000):  # 120 MB
        rows.append(row)
    total = rows.map(lambda chunk: chunk[:, 0]).sum()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 3000 and peak < 90e6, "one chunk is 40 MB, and is copied once"
