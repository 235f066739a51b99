"""Rows are print_rows as they come, and all of them make one list, one file or some tables."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import orjson
import pytest

from worker.cli.row_output import BATCH_ROWS, print_rows


def rows(count: int) -> list[dict[str, object]]:
    return [{"day": f"2025-03-{at}", "orders": at, "why": ["a", "b"]} for at in range(count)]


def print_all(form: str, count: int) -> None:
    with print_rows(form) as out:
        for row in rows(count):
            out.add(row)


@pytest.mark.parametrize("count", [0, 1, BATCH_ROWS, BATCH_ROWS + 1, 3 * BATCH_ROWS])
def test_they_are_one_list_and_one_file(count: int, capfd: pytest.CaptureFixture[str]) -> None:
    print_all("json", count)
    expected = orjson.dumps(rows(count), option=orjson.OPT_INDENT_2).decode() + "\n"
    assert capfd.readouterr().out == expected
    print_all("csv", count)
    header, *cells = [*csv.reader(io.StringIO(capfd.readouterr().out))] or [None]
    assert header == (["day", "orders", "why"] if count else None)
    assert cells == [[f"2025-03-{at}", str(at), "a; b"] for at in range(count)]


@pytest.mark.parametrize(("count", "tables"), [(1, 1), (BATCH_ROWS, 1), (BATCH_ROWS + 1, 2)])
def test_a_table_has_a_thousand_rows(
    count: int, tables: int, capsys: pytest.CaptureFixture[str]
) -> None:
    print_all("table", count)
    out = capsys.readouterr().out
    assert out.count("orders") == tables
    assert out.count("2025-03-") == count


def test_that_there_are_none_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    print_all("table", 0)
    assert capsys.readouterr().out == "no rows\n"


def test_no_more_are_held(capsys: pytest.CaptureFixture[str]) -> None:
    with print_rows("csv") as out:
        for row in rows(BATCH_ROWS):
            out.add(row)
        assert len(capsys.readouterr().out.splitlines()) == 1 + BATCH_ROWS


def test_money_keeps_every_digit(capfd: pytest.CaptureFixture[str]) -> None:
    with print_rows("json") as out:
        out.add({"revenue": Decimal("1E+3")})
    assert orjson.loads(capfd.readouterr().out) == [{"revenue": "1000"}]
