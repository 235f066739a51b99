"""Gauges in the text format of OpenMetrics 1.0, which Prometheus and its relatives read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Gauge(NamedTuple):
    """One metric.

    Attributes:
        name: Without the prefix `shopkpi_`.
        help: What it is, with its unit.
        samples: Labels and value of each sample.
    """

    name: str
    help: str
    samples: Iterable[tuple[Mapping[str, str], float]]


def format_gauges(gauges: Iterable[Gauge]) -> str:
    """Return the exposition of some metrics."""
    lines = []
    for gauge in gauges:
        name = f"shopkpi_{gauge.name}"
        lines += [f"# TYPE {name} gauge", f"# HELP {name} {gauge.help}"]
        for labels, value in gauge.samples:
            pairs = ",".join(f'{key}="{_escape(one)}"' for key, one in labels.items())
            number = f"{value:.3f}".rstrip("0").rstrip(".")
            lines.append(f"{name}{{{pairs}}} {number}")
    return "\n".join([*lines, "# EOF\n"])


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
