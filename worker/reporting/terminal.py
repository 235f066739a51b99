"""Draw progress bars on a terminal; rich is slow to import, so only a terminal imports this."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from kpi.contract.model import Contract
    from worker.objects.source import Source
    from worker.state import Adoption, Effect, Entry, Ruling
    from worker.transform import Report
    from worker.validate.discovery import IgnoredInput
    from worker.validate.recognition import Recognised


class TerminalReporter:
    """Draw progress bars on a terminal's standard error."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._bytes: TaskID | None = None
        self._days: TaskID | None = None
        self._read: dict[str, tuple[int, int]] = {}
        self._done_rows = 0
        self._started = time.perf_counter()

    def start(self, sources: Sequence[Source]) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[amount]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        total = sum(source.info.size_bytes for source in sources)
        self._bytes = self._progress.add_task("validate", total=total, amount="")
        self._progress.start()

    def recognised(self, recognised: Recognised) -> None:
        """Do nothing: the command prints it."""

    def inferred(self, text: str) -> None:
        """Do nothing: the command prints it."""

    def ignored(self, inputs: Sequence[IgnoredInput]) -> None:
        """Do nothing: the command prints them."""

    def reading(self, source: Source, stored_bytes: int, rows: int) -> None:
        self._read[source.source_id] = (stored_bytes, rows)
        self._show()

    def validated(self, entry: Entry, *, new: bool) -> None:  # noqa: ARG002
        self._read[entry.source_id] = (entry.size_bytes, entry.rows_read)
        self._show()

    def known(self, files: int) -> None:
        """Do nothing: the summary counts them."""

    def left(self, source: Source, error: Exception) -> None:
        """Do nothing: the error at the end names the source."""

    def unlisted(self, url: str, error: Exception) -> None:
        """Do nothing: the error at the end names it."""

    def adopted(self, adoption: Adoption, differences: Sequence[str]) -> None:
        """Print nothing: the command says what changes."""

    def refused_before(self, entries: Sequence[Entry]) -> None:
        """Do nothing: the summary of the run names them."""

    def proposed(self, contract: Contract, differences: Sequence[str]) -> None:
        """Do nothing: only a deployment proposes a contract."""

    def ruled(self, ruling: Ruling) -> None:
        """Do nothing: the command prints a table of what changes."""

    def repaired(self, entry: Entry, rows: int) -> None:
        """Do nothing: the command prints what became of the rows."""

    def publishing(self, done: int, total: int) -> None:
        if self._progress is not None:
            if self._bytes is not None:
                self._progress.remove_task(self._bytes)
                self._bytes = None
            if self._days is None:
                self._days = self._progress.add_task("transform", total=total, amount="")
            amount = f"{done:,} of {total:,} days"
            self._progress.update(self._days, completed=done, amount=amount)

    def transformed(self, report: Report, effects: Mapping[str, Effect]) -> None:
        """Do nothing: the command prints tables."""

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()

    def _show(self) -> None:
        if self._progress is not None and self._bytes is not None:
            stored = sum(one for one, _ in self._read.values())
            rows = sum(one for _, one in self._read.values())
            rate = rows / max(time.perf_counter() - self._started, 1e-3)
            amount = f"{stored / 1e6:,.1f} MB, {rate:,.0f} rows/s"
            self._progress.update(self._bytes, completed=stored, amount=amount)
