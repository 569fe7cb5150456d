"""Splitting, joining and windowing of chunked sequences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dfa_nerfstudio.media.chunks import chunk_slices, merge_chunks, slice_chunks, sliding_windows, zip_chunks


def test_sliding_windows_of_chunks_equal_those_of_the_whole() -> None:
    rows = torch.arange(23.0)[:, None].expand(-1, 2)
    windows = torch.cat(list(sliding_windows(rows.split([1, 5, 2, 15]), 3, 8, stride=4)))
    padded = torch.cat([rows[:1].expand(3, -1), rows, rows[-1:].expand(8, -1)])
    assert windows.shape == (5, 2, 8) and torch.equal(windows, padded.unfold(0, 8, 4)[:5])
    assert list(sliding_windows([], 1, 2)) == []


def test_zipped_chunks_have_equal_length() -> None:
    rows = torch.arange(23.0)[:, None].expand(-1, 2)
    both = list(zip_chunks(rows.split(4), [rows[:0], rows[:9], rows[9:]]))
    assert all(len(one) == len(other) for one, other in both)
    assert torch.equal(torch.cat([one for one, _ in both]), rows)
    assert torch.equal(torch.cat([other for _, other in both]), rows)


def test_chunk_slices_cover_the_sequence() -> None:
    slices = chunk_slices(2500)
    assert [part.stop - part.start for part in slices] == [1000, 1000, 500]
    assert np.array_equal(np.concatenate([np.arange(2500)[part] for part in slices]), np.arange(2500))
    assert chunk_slices(0) == []


@pytest.mark.parametrize(("start", "stop"), [(0, None), (3, 11), (5, 5), (7, 100), (0, 4)])
def test_sliced_chunks_equal_the_sliced_whole(start: int, stop: int | None) -> None:
    audio = np.arange(20.0)
    sliced = [np.zeros(0), *slice_chunks(np.split(audio, [4, 4, 9]), start, stop)]
    np.testing.assert_array_equal(np.concatenate(sliced), audio[start:stop])


def test_slicing_does_not_read_past_the_stop() -> None:
    def chunks():
        yield np.arange(4)
        raise AssertionError("read past the stop")

    assert [chunk.tolist() for chunk in slice_chunks(chunks(), 1, 4)] == [[1, 2, 3]]


def test_merged_chunks_have_the_minimum_length() -> None:
    audio = np.arange(20)
    merged = list(merge_chunks(np.split(audio, [4, 4, 9, 17]), 5))
    assert [len(chunk) for chunk in merged] == [9, 8, 3]
    np.testing.assert_array_equal(np.concatenate(merged), audio)
