"""Lists of JSON that a contract does not read: they are named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from kpi.inference.contract import infer_contract
from kpi.inference.questions import NotInferableError
from kpi.inference.samples import TableSample
from worker.infer.json_sample import sample_objects

LINES = [{"sku": f"S{at % 3}", "quantity": at % 2 + 1, "unit_price": 2.5 + at} for at in range(6)]
ORDERS: list[dict[str, Any]] = [
    {"order_id": f"A{at}", "created_at": f"2024-05-0{at + 1}", "items": [line]}
    for at, line in enumerate(LINES)
]


def sample(objects: Sequence[Mapping[str, Any]]) -> TableSample:
    found = sample_objects("shop.json", "shop.json", objects, whole=True, max_rows=100)
    assert found is not None
    return found


def test_a_second_list_of_an_order_is_named() -> None:
    refunds = [{"id": "R1", "amount": 1.0}]
    inferred = infer_contract([sample([{**one, "refunds": refunds} for one in ORDERS])], {})
    assert any("refunds is not read" in line and "(items)" in line for line in inferred.remarks)


def test_lists_within_the_one_that_is_read_are_no_others() -> None:
    nested = sample([{"data": {"orders": ORDERS}}])
    assert (nested.words["each"], nested.unread) == ("data.orders.items", ())


def test_a_refusal_names_the_list_that_is_not_read() -> None:
    lines = [{**line, "order_id": f"A{at}"} for at, line in enumerate(LINES)]
    orders = [{name: one[name] for name in ("order_id", "created_at")} for one in ORDERS]
    with pytest.raises(NotInferableError, match=r"shop.json: orders is not read.*file of its own"):
        infer_contract([sample([{"orders": orders, "lines": lines}])], {})
