"""Rows on standard output as they come: a table for people, JSON or CSV for programs."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal

import click
import orjson

from worker.cli.options import until_reader_leaves
from worker.cli.render import show_rows
from worker.cli.sanitize import spreadsheet_cell

BATCH_ROWS = 1000
"""Rows held before they are printed; a table has at most this many, and the next one follows."""


@contextmanager
def print_rows(output_format: str, ranks: Mapping[str, int] | None = None) -> Iterator[RowPrinter]:
    """Print the rows added in the block, the last of them when the block ends.

    Where the block raises, what was printed before stays: a list without its end.

    Args:
        output_format: "table", "json" (a list of objects) or "csv".
        ranks: Attribute -> rank of its column, where a narrow terminal may leave it out.
    """
    with until_reader_leaves():
        rows = RowPrinter(output_format, ranks)
        yield rows
        rows.end()


class RowPrinter:
    """Print rows that all have the same attributes, some at a time; made by `print_rows`."""

    def __init__(self, output_format: str, ranks: Mapping[str, int] | None = None) -> None:
        self._format = output_format
        self._ranks = ranks
        self._held: list[Mapping[str, object]] = []
        self._begun = False

    def add(self, row: Mapping[str, object]) -> None:
        """Take another row."""
        self._held.append(row)
        if len(self._held) == BATCH_ROWS:
            self._flush()

    def end(self) -> None:
        """Print what is held, and close the list."""
        if self._held or not self._begun:
            self._flush()
        if self._format == "json":
            click.echo(b"\n]" if self._begun else b"[]")

    def _flush(self) -> None:
        if self._format == "json":
            if self._held:
                _print_json(self._held, first=not self._begun)
        elif self._format == "csv":
            _print_csv(self._held, first=not self._begun)
        else:
            flat = [{key: _flat(value) for key, value in row.items()} for row in self._held]
            show_rows(flat, ranks=self._ranks)
        self._begun = self._begun or bool(self._held)
        self._held = []


def _print_json(rows: list[Mapping[str, object]], *, first: bool) -> None:
    text = orjson.dumps(rows, default=_to_json, option=orjson.OPT_INDENT_2)
    # Without the brackets, which enclose all batches.
    click.echo((b"[\n" if first else b",\n") + text[2:-2], nl=False)


def _print_csv(rows: list[Mapping[str, object]], *, first: bool) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if first and rows:
        writer.writerow(rows[0])
    writer.writerows([_cell(value) for value in row.values()] for row in rows)


def _to_json(value: object) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _flat(value: object) -> object:
    return "; ".join(map(str, value)) if isinstance(value, list) else value


def _cell(value: object) -> str:
    """Format a cell that no spreadsheet takes for a formula; numbers stay numbers."""
    flat = _flat("" if value is None else value)
    return spreadsheet_cell(flat) if isinstance(flat, str) else _to_json(flat)
