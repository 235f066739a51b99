"""What a command says: JSON lines for machines, progress bars and tables for people.

A JSON line has a constant dotted `event`, and counts, bytes and seconds as fields; values of rows
never stand in one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import orjson

from worker.metrics import metric_fields

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from worker.source import Source
    from worker.state import Effect, Entry
    from worker.transform import Report


class Reporter(Protocol):
    """Is told what happens, in the order in which it happens."""

    def start(self, sources: Sequence[Source]) -> None:
        """These are about to be validated."""

    def reading(self, source: Source, stored_bytes: int, rows: int) -> None:
        """So much of a source has been read."""

    def validated(self, entry: Entry, *, new: bool) -> None:
        """A source's entry is in the ledger; `new` where it was not before."""

    def publishing(self, done: int, total: int) -> None:
        """So many days have been published."""

    def transformed(self, report: Report, effects: Mapping[str, Effect]) -> None:
        """The KPI tables have come to the ledger's head."""

    def close(self) -> None:
        """Nothing more happens."""


def receipt(entry: Entry, effect: Effect | None = None) -> dict[str, Any]:
    """A ledger entry as a flat mapping of what a person asks of it."""
    fields: dict[str, Any] = {
        "source_id": entry.source_id,
        "sequence": entry.sequence,
        "dataset": entry.dataset,
        "url": entry.url,
        "verdict": entry.verdict,
        "reason": entry.reason,
        "rows_read": entry.rows_read,
        "rows_clean": entry.rows_clean,
        "rows_rejected": entry.rows_rejected,
        "reasons": entry.reasons,
        "size_bytes": entry.size_bytes,
        "version": entry.version,
        "sha256": entry.sha256,
        "uploaded_at": entry.uploaded_at.isoformat(),
        "seconds": entry.seconds,
    }
    if effect is not None:
        fields |= {
            "as_of": effect.as_of,
            "superseded_rows": effect.superseded_rows,
            "waiting_items": effect.waiting_items,
            "days": effect.days,
            "first_day": effect.first_day and effect.first_day.isoformat(),
            "last_day": effect.last_day and effect.last_day.isoformat(),
        }
    return fields


class JsonReporter:
    """JSON lines."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout

    def emit(self, event: str, **fields: object) -> None:
        """Write one line."""
        line: dict[str, Any] = {
            "event": event,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        line |= fields | metric_fields(event)
        self._out.write(orjson.dumps(line, default=str).decode() + "\n")
        self._out.flush()

    def start(self, sources: Sequence[Source]) -> None:
        self.emit(
            "run.started",
            sources=len(sources),
            bytes=sum(source.info.size_bytes for source in sources),
        )

    def reading(self, source: Source, stored_bytes: int, rows: int) -> None:
        """Lines are for what has happened, not for progress."""

    def validated(self, entry: Entry, *, new: bool) -> None:
        # An entry without sequence is that of a range whose object is not committed yet.
        event = "source.known" if entry.sequence else "range.validated"
        if new:
            event = "source.committed" if entry.verdict == "accepted" else "source.refused"
        self.emit(event, **receipt(entry))

    def publishing(self, done: int, total: int) -> None:
        """Lines are for what has happened, not for progress."""

    def transformed(self, report: Report, effects: Mapping[str, Effect]) -> None:
        for source_id, effect in effects.items():
            self.emit(
                "source.counted",
                source_id=source_id,
                as_of=effect.as_of,
                superseded_rows=effect.superseded_rows,
                waiting_items=effect.waiting_items,
                days=effect.days,
                first_day=effect.first_day and effect.first_day.isoformat(),
                last_day=effect.last_day and effect.last_day.isoformat(),
            )
        self.emit(
            "kpis.published",
            as_of=report.as_of,
            days=len(report.days),
            first_day=report.days[0].isoformat() if report.days else None,
            last_day=report.days[-1].isoformat() if report.days else None,
            rows=report.rows,
            waiting_items=sum(report.waiting.values()),
            clean_bytes=report.clean_bytes,
            clean_bytes_read=report.clean_bytes_read,
            seconds=report.seconds,
        )

    def close(self) -> None:
        """Every line has been flushed."""


class TerminalReporter:
    """Progress bars on a terminal's standard error."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._bytes: TaskID | None = None
        self._days: TaskID | None = None
        self._read: dict[str, tuple[int, int]] = {}
        self._done_rows = 0
        self._started = time.perf_counter()

    def start(self, sources: Sequence[Source]) -> None:
        from rich.console import Console  # noqa: PLC0415  (slow to import, and only needed here)
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        total = sum(source.info.size_bytes for source in sources)
        self._bytes = self._progress.add_task("validate", total=total, rate="")
        self._progress.start()

    def reading(self, source: Source, stored_bytes: int, rows: int) -> None:
        self._read[source.source_id] = (stored_bytes, rows)
        self._show()

    def validated(self, entry: Entry, *, new: bool) -> None:  # noqa: ARG002
        self._read[entry.source_id] = (entry.size_bytes, entry.rows_read)
        self._show()

    def publishing(self, done: int, total: int) -> None:
        if self._progress is not None:
            if self._bytes is not None:
                self._progress.remove_task(self._bytes)
                self._bytes = None
            if self._days is None:
                self._days = self._progress.add_task("transform", total=total, rate="")
            self._progress.update(self._days, completed=done, rate=f"{done} of {total} days")

    def transformed(self, report: Report, effects: Mapping[str, Effect]) -> None:
        """The command prints tables of it."""

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()

    def _show(self) -> None:
        if self._progress is not None and self._bytes is not None:
            stored = sum(one for one, _ in self._read.values())
            rows = sum(one for _, one in self._read.values())
            rate = rows / max(time.perf_counter() - self._started, 1e-3)
            self._progress.update(self._bytes, completed=stored, rate=f"{rate:,.0f} rows/s")


class SilentReporter:
    """Says nothing: the tables at the end say all."""

    def start(self, sources: Sequence[Source]) -> None: ...

    def reading(self, source: Source, stored_bytes: int, rows: int) -> None: ...

    def validated(self, entry: Entry, *, new: bool) -> None: ...

    def publishing(self, done: int, total: int) -> None: ...

    def transformed(self, report: Report, effects: Mapping[str, Effect]) -> None: ...

    def close(self) -> None: ...
