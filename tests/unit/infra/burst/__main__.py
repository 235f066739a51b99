"""Print each goal of a burst with what the simulation answers."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.unit.infra.burst.aws_limits import Limits, Times
from tests.unit.infra.burst.simulation import Burst, Outcome, spread
from tests.unit.infra.burst.template_numbers import Numbers, numbers
from tests.unit.infra.conftest import synthesize
from tests.unit.infra.templates import Template

Line = tuple[str, Outcome, float, int]
"""What is uploaded, what became of it, seconds and task starts that are allowed."""


def lines(found: Numbers) -> Iterator[Line]:
    """Yield each goal with its outcome."""
    times = Times()
    for vcpus, minutes in ((6, 60), (100, 12), (1_000, 8)):
        limits = Limits(vcpus=vcpus)
        outcome = Burst(spread(5_000, 60), found, limits, times).run()
        yield f"5,000 in a minute, {vcpus:,} vCPUs", outcome, minutes * 60, 100
        limits = replace(limits, spot_vcpus=vcpus)
        hard = Burst(spread(5_000, 60), found, limits, replace(times, interrupted=1.0)).run()
        yield f"the same, Spot interrupts each task, {vcpus:,}", hard, minutes * 60, 100
    hour = Burst(spread(100_000, 3_600), found, Limits(vcpus=100), times).run()
    yield "100,000 in an hour, 100 vCPUs", hour, 3_600 + 30 * 60, 600
    alone = Burst([0.0], found, Limits(), times).run()
    yield "one alone, 6 vCPUs", alone, 120, 3
    starts_s = range(0, 1_200, 40)
    beside = [Burst([float(one)], found, Limits(), times, large_s=[0.0]).run() for one in starts_s]
    slowest = max(beside, key=lambda one: one.lag_s)
    worst = replace(slowest, done_s=slowest.lag_s, task_starts=3)
    yield "one beside 50 GB, 6 vCPUs, from its upload", worst, alone.lag_s + 300, 3


def main() -> int:
    """Print a line for each goal; return 1 where one is missed."""
    with tempfile.TemporaryDirectory() as folder:
        path = synthesize(Path(folder), {})
        found = numbers(Template(json.loads(path.read_text("utf-8"))))
    is_met = True
    for what, outcome, limit_s, starts in lines(found):
        is_fast = outcome.done_s <= limit_s and outcome.task_starts <= starts
        fine = is_fast and not outcome.failed and not outcome.dead
        is_met &= fine
        sys.stdout.write(
            f"{'met   ' if fine else 'MISSED'} {what}: {outcome.done_s:,.0f} of {limit_s:,.0f} s, "
            f"{outcome.task_starts} of {starts} task starts, {outcome.failed} failed\n"
        )
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
