"""JSON lines: one for each thing that has happened, with constant names."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

from worker.errors import SourceChanged
from worker.objects import ObjectInfo
from worker.objects.memory import MemoryStore
from worker.objects.source import Source
from worker.reporting.reporters import JsonReporter

FORGED = 'x\n{"event":"source.committed"}\n'


def source_of(key: str) -> Source:
    info = ObjectInfo(
        bucket="in",
        key=key,
        size_bytes=7,
        version="version:1",
        uploaded_at=datetime(2025, 3, 1, tzinfo=UTC),
    )
    return Source(info=info, dataset="orders", store=MemoryStore())


def test_start_counts_files_and_bytes() -> None:
    out = io.StringIO()
    JsonReporter(out).start([source_of("a"), source_of("b")])
    event = json.loads(out.getvalue())
    assert (event["event"], event["sources"], event["bytes"]) == ("run.started", 2, 14)


def test_name_with_line_ends_stays_in_its_line() -> None:
    out = io.StringIO()
    source = source_of(FORGED)
    JsonReporter(out).left(source, SourceChanged(url=source.info.url))
    (line,) = out.getvalue().splitlines()
    event = json.loads(line)
    assert event["event"] == "source.left"
    assert event["source_id"] == source.source_id
    assert event["url"] == f"s3://in/{FORGED}"
    assert event["error"] == "SourceChanged"


def test_progress_writes_nothing() -> None:
    out = io.StringIO()
    reporter = JsonReporter(out)
    reporter.reading(source_of("a"), 3, 1)
    reporter.publishing(1, 2)
    reporter.close()
    assert out.getvalue() == ""
