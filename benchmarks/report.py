"""The table of results, as text for a terminal and as `RESULTS.md`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks.results import Outcome, Row, Runs, Unit

GOAL_ORDERS = 4_000_000

HEADER = ("what", "goal", "ours", "other", "best", "median", "met")

EXPLANATION = """\
Each subject of a case ran {repeats}, in turn with the others, from a warm page cache.
*best* compares the best run of each, *median* the median runs; the best decides whether a goal is
met, since whatever else the machine does only ever adds time. CPU is user and system time of the
whole process tree; peak memory is the largest resident set of the tree, of the worst run. How each
case was run, and what the other engines do not do, is in [README.md](README.md)."""


def markdown(outcomes: Sequence[Outcome], machine: Mapping[str, str]) -> str:
    """`RESULTS.md`."""
    repeats = max((len(runs.wall_s) for one in outcomes for runs in one.runs[:1]), default=0)
    parts = [
        "# Results",
        table(("machine", ""), [(name, value) for name, value in machine.items()]),
        EXPLANATION.format(repeats="once" if repeats == 1 else "several times"),
    ]
    for one in outcomes:
        parts.append(f"## {one.title}")
        if one.failed:
            parts.append(f"Not measured: {one.failed}")
            continue
        parts.append(table(HEADER, [_cells(row, one.orders) for row in one.rows]))
        if one.orders != GOAL_ORDERS:
            parts.append(f"Goals are for {GOAL_ORDERS:,} orders, this was {one.orders:,}.")
        if one.proof:
            parts.append(f"Checked: {one.proof}.")
        parts.append(table(RUN_HEADER, [_run(runs) for runs in one.runs]))
        parts.append(
            f"`--cases {one.case}`, {one.measured_at}, commit {one.commit}, load average before "
            f"{one.load:.1f}."
        )
    return "\n\n".join(parts) + "\n"


def terminal(outcomes: Sequence[Outcome]) -> str:
    """Align the rows of all cases."""
    rows: list[tuple[str, ...]] = [("case", *HEADER)]
    for one in outcomes:
        rows += [(one.case, *_cells(row, one.orders)) for row in one.rows]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines += [f"{one.case}: not measured: {one.failed}" for one in outcomes if one.failed]
    return "\n".join(lines)


RUN_HEADER = ("run", "wall, best", "median", "CPU, best", "median", "peak memory")


def _run(runs: Runs) -> tuple[str, ...]:
    peak = f"{runs.peak_mib:.0f} MiB" if any(runs.peak_bytes) else ""
    cpu = min(runs.cpu_s), median(runs.cpu_s)
    times = (runs.best_s, runs.median_s, *cpu)
    return (f"{runs.name} ({len(runs.wall_s)})", *(f"{one:.2f} s" for one in times), peak)


def _cells(row: Row, orders: int) -> tuple[str, ...]:
    met = {None: "", True: "yes", False: "no"}[row.met]
    return (
        row.what,
        "" if row.limit is None else f"≤ {_figure(row.limit, row.unit)}",
        row.ours,
        row.other,
        _figure(row.best, row.unit),
        "" if row.median is None else _figure(row.median, row.unit),
        met if orders == GOAL_ORDERS or not met else f"({met})",
    )


def _figure(value: float, unit: Unit) -> str:
    if unit == "ratio":
        return f"{value:.2f}"
    if unit in ("MiB", ""):
        return f"{value:,.0f} {unit}".rstrip()
    return f"{value:.2f} {unit}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Render a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
