"""Rows on standard output as they come: a table for people, JSON or CSV for others."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import click
import orjson

from worker.cli.options import for_a_reader
from worker.cli.sanitize import spreadsheet_cell

ROWS_AT_ONCE = 1000
"""Rows held; a table has so many at most, and the next one follows."""


@contextmanager
def printed(form: str) -> Iterator[Rows]:
    """Prints what is added in the block, all of it when the block ends.

    Where the block raises, what was printed before stays: a list without its end.

    Args:
        form: "table", "json" (a list of objects) or "csv".
    """
    with for_a_reader():
        rows = Rows(form)
        yield rows
        rows.end()


class Rows:
    """Takes rows that all have the same attributes; made by `printed`."""

    def __init__(self, form: str) -> None:
        self._form = form
        self._held: list[Mapping[str, object]] = []
        self._begun = False

    def add(self, row: Mapping[str, object]) -> None:
        """Another row."""
        self._held.append(row)
        if len(self._held) == ROWS_AT_ONCE:
            self._flush()

    def end(self) -> None:
        """There are no more."""
        if self._held or not self._begun:
            self._flush()
        if self._form == "json":
            click.echo(b"\n]" if self._begun else b"[]")

    def _flush(self) -> None:
        if self._form == "json":
            if self._held:
                _print_json(self._held, first=not self._begun)
        elif self._form == "csv":
            _print_csv(self._held, first=not self._begun)
        else:
            from worker.cli.render import show_rows  # noqa: PLC0415

            show_rows({key: _flat(value) for key, value in row.items()} for row in self._held)
        self._begun = self._begun or bool(self._held)
        self._held = []


def _print_json(rows: list[Mapping[str, object]], *, first: bool) -> None:
    told = orjson.dumps(rows, default=_to_json, option=orjson.OPT_INDENT_2)
    # Without the brackets, which stand around all of them.
    click.echo((b"[\n" if first else b",\n") + told[2:-2], nl=False)


def _print_csv(rows: list[Mapping[str, object]], *, first: bool) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if first and rows:
        writer.writerow(rows[0])
    writer.writerows([_cell(value) for value in row.values()] for row in rows)


def _to_json(value: Any) -> str:  # noqa: ANN401  (whatever orjson has no form for)
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _flat(value: object) -> object:
    return "; ".join(map(str, value)) if isinstance(value, list) else value


def _cell(value: object) -> str:
    """A cell that no spreadsheet takes for a formula; numbers stay numbers."""
    flat = _flat(value)
    return spreadsheet_cell(flat) if isinstance(flat, str) else _to_json(flat)
