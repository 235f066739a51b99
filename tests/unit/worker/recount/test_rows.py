"""Cells and rows of raw files, by the same hand-written verdicts that the parser is held to."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import pytest

from kpi.contract.loading import built_in
from tests.unit.kpi.columns import Verdict, contract_of
from tests.unit.kpi.verdicts import BERLIN, CASES, SAO_PAULO, expected
from worker.recount.rows import RawLayout, RawRow, read_rows, returned_statuses

VERDICTS: list[tuple[str, str, dict[str, object]]] = CASES  # type: ignore[assignment]  # texts
TEXTS = [
    (column, settings, text, outcome)
    for column, settings, outcomes in VERDICTS
    for text, outcome in outcomes.items()
]


def verdict(text: str, column: str, settings: str = "") -> object:
    contract = contract_of(column, settings)
    layout = RawLayout(contract, contract.datasets["products"], ["id", "v"])
    row = RawRow(layout, ["1", text])
    return row.value("v") if row.counts() else Verdict


@pytest.mark.parametrize(("column", "settings", "text", "outcome"), TEXTS)
def test_a_text_has_the_written_verdict(
    column: str, settings: str, text: str, outcome: object
) -> None:
    wanted = expected(outcome)
    value = str(UUID(bytes=wanted.value)) if isinstance(wanted.value, bytes) else wanted.value
    assert verdict(text, column, settings) == (Verdict if wanted.reasons else value)


@pytest.mark.parametrize(
    ("settings", "text", "instant"),
    [
        (BERLIN, "2025-03-30T02:30:00", "2025-03-30T01:00:00+00:00"),
        (BERLIN, "2025-10-26T02:30:00", "2025-10-26T00:30:00+00:00"),
        (BERLIN, "2050-07-01T12:00:00", "2050-07-01T10:00:00+00:00"),
        (SAO_PAULO, "2017-10-15T00:30:00", "2017-10-15T03:00:00+00:00"),
    ],
)
def test_a_timestamp_without_offset_is_in_the_source_zone(
    settings: str, text: str, instant: str
) -> None:
    assert verdict(text, 'type = "timestamp"', settings) == datetime.fromisoformat(instant)


@pytest.mark.parametrize(
    ("text", "column", "outcome"),
    [
        (" Hats ", 'type = "string"', "Hats"),
        (" Hats ", 'type = "string", trim = false', " Hats "),
        ("\u00a0\ufeff", 'type = "string", required = true', Verdict),
        ("\udcff", 'type = "string"', Verdict),
        ("abc", 'type = "string", max_bytes = 2', Verdict),
        ("abc", 'type = "string", allowed = ["a"]', Verdict),
        ("8", 'type = "integer", max = 7', Verdict),
        ("-1", 'type = "decimal", min = 0', Verdict),
        ("1.23456", 'type = "decimal", on_excess_digits = "reject"', Verdict),
    ],
)
def test_rules_of_a_column(text: str, column: str, outcome: object) -> None:
    assert verdict(text, column) == outcome


def test_rows_with_another_number_of_fields_are_left_out() -> None:
    contract = built_in()
    text = [b"\xef\xbb\xbf ID ,Category,extra\n", b"1,Toys,x\n", b"2,Toys\n", b'3,"To\nys",y\n']
    rows = list(read_rows(text, contract, contract.datasets["products"]))
    assert [(row.value("id"), row.value("category")) for row in rows] == [
        (1, "Toys"),
        (3, "To\nys"),
    ]
    assert all(row.counts() for row in rows)


@pytest.mark.parametrize(
    "before", [b"", b"sep=,\n", b'"sep=,"\r\n', b"\xef\xbb\xbfSEP=,\n", b",,\n\n , \n"]
)
def test_lines_before_the_header_are_passed_over(before: bytes) -> None:
    contract = built_in()
    text = [before, b"id,category\n", b" , \n", b"1,Toys\n"]
    rows = read_rows(text, contract, contract.datasets["products"])
    assert [row.value("id") for row in rows if row.counts()] == [1]


def test_a_bad_value_that_no_kpi_reads_rejects_no_row() -> None:
    contract = built_in()
    (row,) = read_rows(
        [b"id,category,cost\n", b"1,Toys,x\n"], contract, contract.datasets["products"]
    )
    assert row.counts()
    assert row.value("cost") is None


def test_returned_statuses_are_folded() -> None:
    assert returned_statuses(built_in()) == {"returned"}
