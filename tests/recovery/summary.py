"""Report the number of crash points tried at the end of the test run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

_PROPERTY = "crash points"


def tried(record_property: Callable[[str, object], None], where: str, count: int) -> None:
    """Record how many points a test has tried over some stores."""
    record_property(_PROPERTY, [where, count])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line, if there were any."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == _PROPERTY:
                counts[value[0]] += value[1]
    if counts:
        parts = (f"{count:,} {where}" for where, count in sorted(counts.items(), reverse=True))
        terminalreporter.write_line(f"crash points: {', '.join(parts)}")
