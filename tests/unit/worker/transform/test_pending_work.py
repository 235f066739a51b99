"""Days that a transform finds to be done."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tests.support import shops
from tests.support.shops import Upload
from tests.unit.worker.transform.histories import DAYS, history
from worker.transform.pending_work import equal_or_both_null


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "days"),
    [
        ((("1", "Toys"), ("2", "Games")), 0),  # nobody has sold the second
        ((("1", "Games"), ("1", "Toys")), 0),  # the last row of a file wins
        ((("1", "Games"),), DAYS - 1),
    ],
)
async def test_only_a_changed_category_changes_days(
    tmp_path: Path, rows: tuple[tuple[str, str], ...], days: int
) -> None:
    async with history(tmp_path) as (pipeline, _):
        for path in shops.write(tmp_path / "more", [Upload("products", rows, 100)]):
            await pipeline.validate(path)
        assert len((await pipeline.transform()).days) == days


def test_an_empty_category_differs_from_none() -> None:
    left = pa.array(["", None, None, "a", "a"], pa.string())
    right = pa.array([None, "", None, "a", "b"], pa.string())
    assert equal_or_both_null(left, right).to_pylist() == [False, False, True, True, False]
