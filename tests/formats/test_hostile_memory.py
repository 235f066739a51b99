"""Hostile files of several formats are verdicts of one process in bounded memory."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.formats.hostile import repeated_text, repeated_value
from tests.formats.test_same_kpis import CONTRACT, some_rows
from tests.formats.writers import as_json_lines
from tests.support.commands import shopkpi_process

PEAK_MIB = 400
"""Of one command that validates all of them; an interpreter with pyarrow takes 90."""

MIB = 2**20


def bombs() -> dict[str, bytes]:
    """Return name -> content; unpacked, most of them take more memory than `PEAK_MIB`."""
    rows = some_rows()
    line = as_json_lines(rows[:1]).strip()
    return {
        "sales.xlsx": repeated_text(rows, 100_000, 5_000),
        "sales.parquet": repeated_value(rows, "User", 400_000, 1_500),
        "sales-wide.jsonl": line[:-1] + b', "More": [' + b"{}," * 2 * MIB + b"{}]}\n" + line,
        "sales-packed.jsonl.gz": gzip.compress(line[:-1] + b', "More": "' + b"x" * 400 * MIB, 1),
        "sales-open.json": b"[" + line + b', {"Order": "' + b"x" * 30 * MIB,
    }


@pytest.mark.slow
def test_bombs_of_every_format_take_bounded_memory(tmp_path: Path) -> None:
    (tmp_path / "shop.toml").write_text(CONTRACT.replace("FORMS", ""))
    (tmp_path / "in").mkdir()
    files = bombs()
    for name, content in files.items():
        (tmp_path / "in" / name).write_bytes(content)
    done = shopkpi_process(
        tmp_path, *("run", "in", "--contract", "shop.toml", "--format", "json", "--workspace", "ws")
    )
    events = [json.loads(one) for one in done.out.splitlines()]
    verdicts = {
        event["url"].rsplit("/", 1)[-1]
        for event in events
        if event["event"] in {"source.committed", "source.refused"}
    }
    assert verdicts == files.keys()
    assert done.peak_mib < PEAK_MIB, done.peak_mib
