"""Standard output by rich: tables and wrapped lines, with every text as it is."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from worker.cli.table_layout import Column, Layout, fit, paragraphs, wrap

PIPE_WIDTH = 140
"""Columns of output that goes to no terminal: wide enough for every table."""


class PlainConsole(Console):
    """Standard output, as wide as the terminal.

    Texts from files may hold `[markup]` or `:emoji_codes:`; neither is interpreted.
    """

    def __init__(self) -> None:
        is_terminal = sys.stdout.isatty()
        width = shutil.get_terminal_size((PIPE_WIDTH, 24)).columns if is_terminal else PIPE_WIDTH
        super().__init__(width=width, markup=False, emoji=False, highlight=False)

    def on_broken_pipe(self) -> None:
        """Let `until_reader_leaves` handle it; rich would end the process."""
        raise  # noqa: PLE0704  (rich calls this while it handles the error)

    def print_indented(self, text: str) -> None:
        """Print a text below a heading, each of its lines indented."""
        for line in wrap(text, self.width - 2).split("\n"):
            self.print(f"  {line}", soft_wrap=True)

    def print_table(
        self, columns: Sequence[Column], cells: Sequence[Sequence[str]], title: str
    ) -> None:
        """Print a table as the width allows.

        Args:
            columns: Columns, from left to right.
            cells: Rows.
            title: Above the table; empty for none.
        """
        layout = fit(columns, cells, self.width)
        if layout is not None:
            self.print(_table(layout, columns, cells, title))
        else:
            if title:
                self.print(title)
            for lines in paragraphs(columns, cells, self.width):
                self.print("\n".join(lines), soft_wrap=True)
        drawn = range(len(columns)) if layout is None else layout.columns
        left_out = [column.name for at, column in enumerate(columns) if at not in drawn]
        if left_out:
            self.print(f"not shown: {', '.join(left_out)} (a wider terminal or --format json)")


def _table(
    layout: Layout, columns: Sequence[Column], cells: Sequence[Sequence[str]], title: str
) -> Table:
    table = Table(title=title or None, title_justify="left", header_style="bold")
    if not layout.has_borders:
        table.box, table.pad_edge, table.padding = None, False, (0, 2, 0, 0)
    for at, width in zip(layout.columns, layout.widths, strict=True):
        table.add_column(
            wrap(columns[at].name, width),
            justify="right" if columns[at].is_number else "left",
            width=width,
            no_wrap=True,
        )
    for row in cells:
        chosen = zip(layout.columns, layout.widths, strict=True)
        table.add_row(*(wrap(row[at], width) for at, width in chosen))
    return table
