"""Log lines carry the metrics that they promise, where somebody reads them."""

from __future__ import annotations

import io
import json

import pytest

from worker.reporting.emf import UNITS
from worker.reporting.reporters import JsonReporter


def test_lines_bear_their_execution_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    JsonReporter(out).emit("run.started")
    monkeypatch.setenv("SHOPKPI_EXECUTION", "window-1")
    JsonReporter(out).emit("run.started", sources=1)
    without, with_one = map(json.loads, out.getvalue().splitlines())
    assert "execution" not in without
    assert with_one["execution"] == "window-1"


def test_lines_carry_metrics_in_aws_only(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = dict.fromkeys(UNITS["audit.finished"], 3)
    out = io.StringIO()
    JsonReporter(out).emit("audit.finished", **fields)
    monkeypatch.setenv("SHOPKPI_METRICS_NAMESPACE", "shopkpi")
    monkeypatch.setenv("SHOPKPI_DEPLOYMENT", "shop-prod")
    JsonReporter(out).emit("audit.finished", **fields)
    JsonReporter(out).emit("run.started")
    outside, inside, without = map(json.loads, out.getvalue().splitlines())
    assert "_aws" not in outside
    assert "_aws" not in without
    (directive,) = inside["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "shopkpi"
    assert inside["deployment"] == "shop-prod"
    for name in [*directive["Dimensions"][0], *(one["Name"] for one in directive["Metrics"])]:
        assert name in inside
