"""Days that a transform finds to be done."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from kpi.contract.loading import built_in, parse_contract
from tests.support import shops
from tests.support.shops import Pipeline, Upload
from tests.unit.worker.transform.histories import DAYS, history
from worker.maintenance.audit import audit
from worker.transform.product_days import equal_or_both_null


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


FIRST, SECOND, THIRD = "2025-03-01", "2025-03-02", "2025-03-03"


@pytest.mark.parametrize(
    ("products", "days"),
    [
        ((("1", "Toys"), ("2", "Games")), []),
        ((("2", "Games"), ("1", "Toys"), ("9", "Toys")), []),
        ((("1", "Toys"), ("2", "Toys")), [SECOND]),
        ((("1", "Toys"), ("2", "Games"), ("3", "Games")), [THIRD]),
        ((("2", "Games"),), [FIRST]),
    ],
)
async def test_a_replaced_file_of_products_changes_days_of_other_categories(
    tmp_path: Path, products: tuple[tuple[str, str], ...], days: list[str]
) -> None:
    """Nobody knows the third product at first, which is sold on the third day."""
    contract = parse_contract('replaces = "file"\n' + built_in().text, source="test")
    uploads = [Upload("products", (("1", "Toys"), ("2", "Games")), 0)]
    for number, day in enumerate((FIRST, SECOND, THIRD), start=1):
        one = str(number)
        uploads.append(Upload("orders", ((one, "1", "", f"{day}T10:00:00"),), number))
        uploads.append(Upload("order_items", ((one, one, one, "", "5.00"),), number))
    async with Pipeline(tmp_path, contract) as pipeline:
        for path in shops.write(tmp_path / "in", uploads):
            await pipeline.validate(path)
        await pipeline.transform()
        (path,) = shops.write(tmp_path / "in", [Upload("products", products, 50)])
        await pipeline.validate(path)
        report = await pipeline.transform()
        assert [day.isoformat() for day in report.days] == days
        assert pipeline.state is not None
        found = await audit(
            contract=contract,
            workspace=pipeline.workspace,
            state=pipeline.state,
            tables=shops.ALL_TABLES,
        )
        assert not found.differences


def test_an_empty_category_differs_from_none() -> None:
    left = pa.array(["", None, None, "a", "a"], pa.string())
    right = pa.array([None, "", None, "a", "b"], pa.string())
    assert equal_or_both_null(left, right).to_pylist() == [False, False, True, True, False]
