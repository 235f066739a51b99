"""Samples of several files: which are of one table, and what takes the next one."""

from __future__ import annotations

from dataclasses import replace

from kpi.inference.samples import TableSample
from worker.infer.reading import merge

ORDERS = ("order_id", "order_date", "status")


def sample(name: str, headers: tuple[str, ...] = ORDERS) -> TableSample:
    columns = tuple(("1",) for _ in headers)
    return TableSample(name=name, match=name, headers=headers, columns=columns, rows_total=1)


def test_files_of_one_header_of_orders_are_one_table() -> None:
    (merged,) = merge([sample("b-delta.csv"), sample("c-old-full.csv")])
    assert {merged.match, *merged.also} == {"b-delta.csv", "c-old-full.csv"}
    assert merged.parts == (("b-delta.csv", 1), ("c-old-full.csv", 1))


def test_tables_of_names_with_one_header_are_several() -> None:
    names = ("id", "name", "code")
    assert len(merge([sample("brands.csv", names), sample("categories.csv", names)])) == 2


def test_a_pattern_is_widened_beside_one_that_says_more() -> None:
    merged = merge([sample("20250302.csv"), sample("items-1.csv", ("order_id", "sku", "price"))])
    assert [one.match for one in merged] == ["*.csv", "items-*.csv"]


def test_a_pattern_is_not_widened_over_one_that_says_as_much() -> None:
    merged = merge([sample("a1.csv"), sample("a2.csv", ("order_id", "sku", "price"))])
    assert [one.match for one in merged] == ["a1.csv", "a2.csv"]


def test_daily_files_without_headers_are_one_table() -> None:
    headers = ("column 1", "column 2", "column 3")
    days = [
        replace(sample(f"till_2025-03-0{day}.txt", headers), has_headers=False) for day in (4, 5)
    ]
    (merged,) = merge(days)
    assert (merged.match, merged.also, len(merged.parts)) == ("till_*.txt", (), 2)
