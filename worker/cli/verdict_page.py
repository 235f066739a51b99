"""The supplier's own copy of a verdict: one page of HTML that needs neither shopkpi nor a network.

It has row values of the files that were tried, and of nothing else. There is no script in it, and
every text from outside is escaped; the page forbids its reader to load anything.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.clean.rejects import RejectedRow
from worker.cli.sanitize import visible
from worker.errors import ConfigError
from worker.runtime.wording import counted
from worker.state import Entry

MOST_ROWS = 1_000
"""Rejected rows of a file on the page: what is wrong shows in the first ones."""

MOST_CHARACTERS = 2_000
"""Of a row on the page."""

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Verdict on your files</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { border: 1px solid #999; padding: .2rem .6rem; text-align: left; vertical-align: top }
td.number { text-align: right }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere }
.refused { color: #a00 }
.accepted { color: #060 }
</style>
</head>
<body>
"""


@dataclass(frozen=True, kw_only=True)
class FileVerdict:
    """What is to be said of one file.

    Attributes:
        entry: Its receipt.
        rejects: Its rejected rows, the first `MOST_ROWS` of them.
    """

    entry: Entry
    rejects: Sequence[RejectedRow]


def write_page(path: Path, contract: str, files: Sequence[FileVerdict]) -> None:
    """Write the page.

    Args:
        path: Where to; a file of the name is replaced.
        contract: Name of the contract.
        files: The files.

    Raises:
        ConfigError: It cannot be written.
    """
    try:
        path.write_text(render_page(contract, files), encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"it cannot be written: {error.strerror}", url=path, option="--html"
        ) from error


def render_page(contract: str, files: Sequence[FileVerdict]) -> str:
    """Render the page; see `write_page`."""
    refused = sum(one.entry.verdict == "refused" for one in files)
    verdict = f"{refused} of {counted(len(files), 'file')} refused" if refused else "all accepted"
    summary = _table(
        ("file", "verdict", "rows read", "accepted", "rejected"),
        [
            (
                _name(one.entry),
                one.entry.verdict,
                one.entry.rows_read,
                one.entry.rows_clean,
                one.entry.rows_rejected,
            )
            for one in files
        ],
    )
    return "".join(
        (
            _HEAD,
            f"<h1>Verdict on your files: {_text(verdict)}</h1>\n",
            f"<p>Tried against the contract {_text(contract)}. A file is accepted or refused as a ",
            "whole; of an accepted one, rejected rows do not count until they are corrected.</p>\n",
            summary,
            *(_section(one) for one in files),
            "</body>\n</html>\n",
        )
    )


def _section(file: FileVerdict) -> str:
    entry = file.entry
    parts = [f'<h2 class="{entry.verdict}">{_text(_name(entry))}: {entry.verdict}</h2>\n']
    if entry.reason:
        parts.append(f"<p>{_text(entry.reason)}</p>\n")
    if entry.reasons:
        parts.append(_table(("reason", "rows"), Counter(entry.reasons).most_common()))
    if file.rejects:
        shown = [(one.row, "\n".join(one.reasons), _raw(one)) for one in file.rejects]
        parts.append(_table(("row", "what was expected", "the row as it came"), shown))
        if entry.rows_rejected > len(shown):
            parts.append(f"<p>These are the first {len(shown):,} of {entry.rows_rejected:,}.</p>\n")
        parts.append("<p>Rows count as in a spreadsheet: the header is row 1.</p>\n")
    return "".join(parts)


def _raw(reject: RejectedRow) -> str:
    text = reject.raw[: 4 * MOST_CHARACTERS].decode("utf-8", "backslashreplace")
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]} ..."


def _name(entry: Entry) -> str:
    """Name a file to somebody who does not know where it lies here."""
    return entry.url.rsplit("/", 1)[-1]


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["<table>\n<tr>", *(f"<th>{_text(one)}</th>" for one in header), "</tr>\n"]
    for row in rows:
        lines += ["<tr>", *map(_cell, row), "</tr>\n"]
    return "".join([*lines, "</table>\n"])


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f'<td class="number">{value:,}</td>'
    return f"<td><pre>{_text(str(value))}</pre></td>"


def _text(text: str) -> str:
    """Escape what a browser would act on, and what it would show as something else."""
    return html.escape(visible(text))
