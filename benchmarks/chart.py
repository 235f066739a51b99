"""The chart of the main comparison for the README: wall time and peak memory of each engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from benchmarks.results import Runs

WIDTH, NAME_WIDTH, VALUE_WIDTH, GAP = 860, 150, 96, 24
TOP, ROW_HEIGHT, BAR_HEIGHT, BOTTOM = 64, 34, 20, 34

# Colours that read on GitHub's light page and on its dark one.
OURS, OTHERS, TEXT, FAINT = "#2da44e", "#8c959f", "#768390", "#9aa4af"


def svg(title: str, footer: str, runs: Sequence[Runs]) -> str:
    """Two columns of bars, one row for each engine, quickest first; ours is `shopkpi`."""
    ranked = sorted(runs, key=lambda one: one.best_s)
    height = TOP + ROW_HEIGHT * len(ranked) + BOTTOM
    panel = (WIDTH - NAME_WIDTH - GAP) // 2
    second = NAME_WIDTH + panel + GAP
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" aria-label="{escape(title)}" '
        "font-family=\"-apple-system, 'Segoe UI', Helvetica, Arial, sans-serif\" "
        'font-size="13">',
        _text(0, 18, title, size=15, bold=True),
        _text(NAME_WIDTH, 48, "wall seconds, best run", fill=FAINT),
        _text(second, 48, "peak memory, MiB", fill=FAINT),
    ]
    for number, one in enumerate(ranked):
        y = TOP + ROW_HEIGHT * number
        lines.append(_text(0, y + 15, one.name, bold=one.name == "shopkpi"))
    lines += _bars(ranked, NAME_WIDTH, panel, lambda one: one.best_s, "{:.1f} s")
    lines += _bars(ranked, second, panel, lambda one: one.peak_mib, "{:,.0f}")
    lines += [_text(0, height - 8, footer, size=11, fill=FAINT), "</svg>"]
    return "\n".join(lines) + "\n"


def _bars(
    runs: Sequence[Runs], x: int, width: int, value: Callable[[Runs], float], form: str
) -> list[str]:
    longest = max(map(value, runs))
    lines = []
    for number, one in enumerate(runs):
        y = TOP + ROW_HEIGHT * number
        length = max((width - VALUE_WIDTH) * value(one) / longest, 1)
        mine = one.name == "shopkpi"
        lines.append(
            f'<rect x="{x}" y="{y}" width="{length:.1f}" height="{BAR_HEIGHT}" rx="3" '
            f'fill="{OURS if mine else OTHERS}"/>'
        )
        lines.append(_text(x + length + 7, y + 15, form.format(value(one)), bold=mine))
    return lines


def _text(
    x: float, y: int, text: str, *, size: int = 13, bold: bool = False, fill: str = TEXT
) -> str:
    weight = ' font-weight="600"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y}" font-size="{size}" fill="{fill}"{weight}>{escape(text)}</text>'
    )
