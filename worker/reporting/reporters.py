"""Report what a command does: JSON lines for programs, progress bars and tables for people.

A JSON line has a constant dotted `event`, and counts, bytes and seconds as fields. It never holds a
value of a row.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import orjson

from worker.errors import describe
from worker.reporting.emf import execution_field, metric_fields
from worker.state.receipt import doubts_of, receipt

if TYPE_CHECKING:
    from kpi.contract.model import Contract
    from worker.objects.source import Source
    from worker.state import Adoption, Effect, Entry, Ruling
    from worker.transform import Report
    from worker.validate.discovery import IgnoredInput
    from worker.validate.recognition import Recognised


class Reporter(Protocol):
    """Receive what happens, in the order in which it happens."""

    def start(self, sources: Sequence[Source]) -> None:
        """Begin the validation of sources."""

    def recognised(self, recognised: Recognised) -> None:
        """Report the built-in layout that the files were recognised to have."""

    def inferred(self, text: str) -> None:
        """Report the contract that was inferred from the files."""

    def ignored(self, inputs: Sequence[IgnoredInput]) -> None:
        """Report files below the inputs that no dataset takes."""

    def reading(self, source: Source, stored_bytes: int, rows: int) -> None:
        """Report how much of a source has been read."""

    def validated(self, entry: Entry, *, new: bool) -> None:
        """Report an entry of the ledger; `new` where this run committed it."""

    def known(self, files: int) -> None:
        """Report how many files beside those reported the ledger has accepted before."""

    def refused_before(self, entries: Sequence[Entry]) -> None:
        """Report the files that stay refused: an earlier run refused them."""

    def left(self, source: Source, error: Exception) -> None:
        """Report a source that could not be read; the next run tries it again."""

    def unlisted(self, url: str, error: Exception) -> None:
        """Report a name that could not be looked up; the next run tries it again."""

    def ruled(self, ruling: Ruling) -> None:
        """Report that a ruling on an upload is in the ledger."""

    def repaired(self, entry: Entry, rows: int) -> None:
        """Report that rows of an upload were repaired."""

    def adopted(self, adoption: Adoption, differences: Sequence[str]) -> None:
        """Report that a contract has come into force."""

    def proposed(self, contract: Contract, differences: Sequence[str]) -> None:
        """Report that the deployment brings another contract than the one in force."""

    def publishing(self, done: int, total: int) -> None:
        """Report how many days have been published."""

    def transformed(self, report: Report, effects: Mapping[str, Effect]) -> None:
        """Report that the KPI tables are up to date with the ledger."""

    def close(self) -> None:
        """End; nothing more is reported."""


MAX_IGNORED_NAMED = 1_000
"""Ignored files that are named; a bucket may have millions."""


MAX_REFUSED_NAMED = 10
"""Files refused before that an event names."""


class JsonReporter:
    """Write JSON lines."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout

    def emit(self, event: str, **fields: object) -> None:
        """Write one line."""
        line: dict[str, Any] = {
            "event": event,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        line |= fields | execution_field() | metric_fields(event)
        self._out.write(orjson.dumps(line, default=str).decode() + "\n")
        self._out.flush()

    def start(self, sources: Sequence[Source]) -> None:
        self.emit(
            "run.started",
            sources=len(sources),
            bytes=sum(source.info.size_bytes for source in sources),
        )

    def recognised(self, recognised: Recognised) -> None:
        self.emit(
            "layout.recognised",
            layout=recognised.layout.key,
            title=recognised.layout.title,
            left_out=recognised.left_out,
            # What others may count otherwise is told as loudly as a doubt.
            **({"level": "warning", "choices": recognised.choices} if recognised.choices else {}),
            files=len(recognised.files),
            unknown_files=list(recognised.others[:MAX_IGNORED_NAMED]),
        )

    def inferred(self, text: str) -> None:
        self.emit("contract.inferred", contract=text)

    def ignored(self, inputs: Sequence[IgnoredInput]) -> None:
        for one in inputs[:MAX_IGNORED_NAMED]:
            fields = {"nearest_folder": f"{one.nearest}/"} if one.nearest else {}
            self.emit("input.ignored", url=one.url, reason=one.reason, **fields)
        if len(inputs) > MAX_IGNORED_NAMED:
            self.emit("input.ignored", files=len(inputs) - MAX_IGNORED_NAMED, reason="and others")

    def reading(self, source: Source, stored_bytes: int, rows: int) -> None:
        """Write nothing: progress is for people."""

    def validated(self, entry: Entry, *, new: bool) -> None:
        # The entry of a range has no sequence until its object is committed.
        event = "source.known" if entry.sequence else "range.validated"
        if new:
            event = "source.committed" if entry.verdict == "accepted" else "source.refused"
        self.emit(event, **receipt(entry))
        if new and entry.notes:
            self.emit("input.noted", url=entry.url, notes=entry.notes)
        self._doubt(entry, new=new)

    def _doubt(self, entry: Entry, *, new: bool) -> None:
        """Write what of an accepted file may be meant otherwise than the contract has it."""
        doubts = doubts_of(entry) if new else {}
        if doubts:
            fields = {"source_id": entry.source_id, "url": entry.url, "doubts": doubts}
            self.emit("source.doubtful", level="warning", **fields)

    def known(self, files: int) -> None:
        if files:
            self.emit("source.known", files=files, verdict="accepted", reason="and others")

    def refused_before(self, entries: Sequence[Entry]) -> None:
        if entries:
            urls = [entry.url for entry in entries[:MAX_REFUSED_NAMED]]
            self.emit("run.refused_before", files=len(entries), urls=urls)

    def left(self, source: Source, error: Exception) -> None:
        self.emit(
            "source.left",
            source_id=source.source_id,
            url=source.info.url,
            error=type(error).__name__,
            problem=describe(error),
        )

    def unlisted(self, url: str, error: Exception) -> None:
        self.emit("source.left", url=url, error=type(error).__name__, problem=describe(error))

    def ruled(self, ruling: Ruling) -> None:
        event = "source.retracted" if ruling.kind == "retraction" else "source.restored"
        self.emit(
            event,
            source_id=ruling.source_id,
            url=ruling.url,
            sequence=ruling.sequence,
            reason=ruling.reason,
        )

    def repaired(self, entry: Entry, rows: int) -> None:
        self.emit("source.repaired", rows=rows, **receipt(entry))

    def adopted(self, adoption: Adoption, differences: Sequence[str]) -> None:
        self.emit(
            "contract.adopted",
            digest=adoption.digest,
            sequence=adoption.sequence,
            replaces=adoption.replaces,
            tables=adoption.tables,
            differences=differences,
        )

    def proposed(self, contract: Contract, differences: Sequence[str]) -> None:
        self.emit("contract.proposed", name=contract.name, differences=differences)

    def publishing(self, done: int, total: int) -> None:
        """Write nothing: progress is for people."""

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
        self._emit_notices(report)
        self.emit(
            "kpis.published",
            as_of=report.as_of,
            days=len(report.days),
            first_day=report.days[0].isoformat() if report.days else None,
            last_day=report.days[-1].isoformat() if report.days else None,
            rows=report.rows,
            waiting_items=sum(report.waiting.values()),
            **({"notes": report.notes} if report.notes else {}),
            **({"level": "warning"} if report.notes.get("moved_orders") else {}),
            clean_bytes=report.clean_bytes,
            clean_bytes_read=report.clean_bytes_read,
            seconds=report.seconds,
        )

    def _emit_notices(self, report: Report) -> None:
        """Write what new uploads have in common with others, and what they take back."""
        for notice in report.notices:
            self.emit(
                f"source.{notice.kind}",
                source_id=notice.upload.source_id,
                url=notice.upload.name,
                other_source_id=notice.other.source_id,
                other_url=notice.other.name,
            )
        for rollback in report.rollbacks:
            self.emit(
                "source.rolled_back",
                source_id=rollback.source_id,
                url=rollback.url,
                rows=rollback.rows,
                urls=rollback.urls,
            )
        for takeover in report.takeovers:
            self.emit(
                "source.takeover",
                source_id=takeover.source_id,
                url=takeover.url,
                rows=takeover.rows,
                of_rows=takeover.of_rows,
            )

    def close(self) -> None:
        """Do nothing: every line has been flushed."""


class QuietReporter(JsonReporter):
    """Write a JSON line for each new file, file left and ruling, and for days published alone."""

    def __init__(self, out: TextIO | None = None) -> None:
        super().__init__(out)
        self._lines = 0

    def emit(self, event: str, **fields: object) -> None:
        self._lines += 1
        super().emit(event, **fields)

    def start(self, sources: Sequence[Source]) -> None: ...

    def ignored(self, inputs: Sequence[IgnoredInput]) -> None: ...

    def known(self, files: int) -> None: ...

    def refused_before(self, entries: Sequence[Entry]) -> None: ...

    def validated(self, entry: Entry, *, new: bool) -> None:
        if new:
            event = "source.committed" if entry.verdict == "accepted" else "source.refused"
            self.emit(event, **receipt(entry))
        self._doubt(entry, new=new)

    def transformed(self, report: Report, effects: Mapping[str, Effect]) -> None:
        # Effects of files that are new are for who asks: one line for each file is enough.
        del effects
        self._emit_notices(report)
        if report.days and not self._lines:
            super().transformed(report, {})


class ArrivalReporter(QuietReporter):
    """Write what `QuietReporter` does, and each publication."""

    def transformed(self, report: Report, effects: Mapping[str, Effect]) -> None:
        del effects
        if report.days:
            JsonReporter.transformed(self, report, {})
        else:
            self._emit_notices(report)


class SilentReporter:
    """Report nothing: the tables at the end show the result."""

    def start(self, sources: Sequence[Source]) -> None: ...

    def recognised(self, recognised: Recognised) -> None: ...

    def inferred(self, text: str) -> None: ...

    def ignored(self, inputs: Sequence[IgnoredInput]) -> None: ...

    def reading(self, source: Source, stored_bytes: int, rows: int) -> None: ...

    def validated(self, entry: Entry, *, new: bool) -> None: ...

    def known(self, files: int) -> None: ...

    def refused_before(self, entries: Sequence[Entry]) -> None: ...

    def left(self, source: Source, error: Exception) -> None: ...

    def unlisted(self, url: str, error: Exception) -> None: ...

    def ruled(self, ruling: Ruling) -> None: ...

    def repaired(self, entry: Entry, rows: int) -> None: ...

    def adopted(self, adoption: Adoption, differences: Sequence[str]) -> None: ...

    def proposed(self, contract: Contract, differences: Sequence[str]) -> None: ...

    def publishing(self, done: int, total: int) -> None: ...

    def transformed(self, report: Report, effects: Mapping[str, Effect]) -> None: ...

    def close(self) -> None: ...
