"""Standard output by rich: tables and wrapped lines, with every text as it is."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

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

    def print_table(
        self, columns: Sequence[tuple[str, bool]], cells: Sequence[Sequence[str]], title: str
    ) -> None:
        """Print a table.

        Args:
            columns: Name of each, and whether it holds numbers, which go to the right.
            cells: Rows.
            title: Above the table; empty for none.
        """
        table = Table(title=title or None, title_justify="left", header_style="bold")
        for name, is_number in columns:
            table.add_column(name, justify="right" if is_number else "left", overflow="fold")
        for row in cells:
            table.add_row(*row)
        self.print(table)
