"""Embed metrics in log lines: CloudWatch's embedded metric format (specification, version 0)."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

_SOURCE = {
    "rows_read": "Count",
    "rows_clean": "Count",
    "rows_rejected": "Count",
    "size_bytes": "Bytes",
    "seconds": "Seconds",
}

UNITS: Mapping[str, Mapping[str, str]] = {
    "source.committed": _SOURCE,
    "source.refused": _SOURCE,
    "kpis.published": {
        "days": "Count",
        "waiting_items": "Count",
        "clean_bytes_read": "Bytes",
        "seconds": "Seconds",
    },
    "audit.finished": {"days": "Count", "differences": "Count"},
}
"""Event -> field of its line -> unit of the metric of that name."""


def execution_field() -> dict[str, str]:
    """Return `execution`, the name of the execution that started this task, where there is one."""
    name = os.environ.get("SHOPKPI_EXECUTION")
    return {"execution": name} if name else {}


def metric_fields(event: str) -> dict[str, Any]:
    """Return the fields that let CloudWatch take metrics from a log line.

    There are none where the event has no metrics, or `SHOPKPI_METRICS_NAMESPACE` is not set, as
    outside AWS. The dimensions are the deployment (`SHOPKPI_DEPLOYMENT`) and the event.
    """
    namespace = os.environ.get("SHOPKPI_METRICS_NAMESPACE")
    units = UNITS.get(event)
    if not namespace or units is None:
        return {}
    metrics = [{"Name": name, "Unit": unit} for name, unit in units.items()]
    return {
        "deployment": os.environ.get("SHOPKPI_DEPLOYMENT", "shopkpi"),
        "_aws": {
            "Timestamp": int(time.time() * 1000),
            "CloudWatchMetrics": [
                {
                    "Namespace": namespace,
                    "Dimensions": [["deployment", "event"]],
                    "Metrics": metrics,
                }
            ],
        },
    }
