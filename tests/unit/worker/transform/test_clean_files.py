"""Batches of row groups that are read together."""

from __future__ import annotations

import pytest

from worker.transform.clean_files import CleanFile, RowGroup, batch_row_groups


@pytest.mark.parametrize(
    ("count", "max_rows", "sizes"),
    [
        (15, 10**6, [6, 6, 3]),  # however few rows make a block of 8 MB
        (5, 20, [2, 2, 1]),
        (2, 5, [1, 1]),
    ],
)
def test_batches_are_bounded_in_rows_and_row_groups(
    count: int, max_rows: int, sizes: list[int]
) -> None:
    group = RowGroup(CleanFile.__new__(CleanFile), 0, 10, {}, {})
    assert [len(batch) for batch in batch_row_groups([group] * count, max_rows)] == sizes


def test_a_batch_holds_row_groups_of_one_file() -> None:
    files = [CleanFile.__new__(CleanFile) for _ in range(2)]
    groups = [RowGroup(file, number, 10, {}, {}) for file in files for number in range(2)]
    assert list(batch_row_groups(groups, 10**6)) == [groups[:2], groups[2:]]
