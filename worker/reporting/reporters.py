"""What a command says: JSON lines for machines, progress bars and tables for people.

A JSON line has a constant dotted `event`, and counts, bytes and seconds as fields; values of rows
never stand in one.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import orjson

from worker.reporting.emf import metric_fields
from worker.state.receipt import receipt

if TYPE_CHECKING:
    from worker.objects.source import Source
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


class SilentReporter:
    """Says nothing: the tables at the end say all."""

    def start(self, sources: Sequence[Source]) -> None: ...

    def reading(self, source: Source, stored_bytes: int, rows: int) -> None: ...

    def validated(self, entry: Entry, *, new: bool) -> None: ...

    def publishing(self, done: int, total: int) -> None: ...

    def transformed(self, report: Report, effects: Mapping[str, Effect]) -> None: ...

    def close(self) -> None: ...
