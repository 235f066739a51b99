"""Files that are large in one respect: each takes the time of its bytes and no more memory."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from kpi.csv.record_index import find_records
from kpi.csv.splitter import RecordSplitter
from tests.support.commands import shopkpi_process

MIB = 2**20
HEADER = b"order_id,user_id,status,created_at\n"
ROW = b"1,7,delivered,2025-03-01T10:00:00\n"


def run(home: Path, blocks: Iterator[bytes], *, packed: str = "") -> tuple[dict[str, Any], float]:
    """The receipt of one file, and how many MiB the command took at its peak."""
    path = home / "orders" / "1.csv"
    path.parent.mkdir()
    with pa.OSFile(str(path), "wb") as file:
        sink = pa.CompressedOutputStream(file, packed) if packed else file
        for block in blocks:
            sink.write(block)
        sink.close()
    done = shopkpi_process(home, "run", "orders", "--format", "json")
    path.unlink()
    assert done.code in (0, 4), done.out  # 4: the file was refused
    receipt = next(one for one in map(json.loads, done.out.splitlines()) if "verdict" in one)
    assert receipt["rows_read"] == receipt["rows_clean"] + receipt["rows_rejected"]
    return receipt, done.peak_mib


def repeated(first: bytes, block: bytes, count: int) -> Iterator[bytes]:
    yield HEADER
    yield first
    for _ in range(count):
        yield block


BLOCK = ROW * (MIB // len(ROW))
LINES = BLOCK.count(b"\n")
LIMIT_MIB = 900
"""An ordinary file takes 450 of them, Python and Arrow included, however long it is."""


def test_a_quote_that_is_never_closed_costs_its_line_only(tmp_path: Path) -> None:
    receipt, peak = run(tmp_path, repeated(b'2,"7,x,2025-03-01\n', BLOCK, 200))
    assert receipt["rows_clean"] == 200 * LINES
    assert receipt["reasons"] == {"malformed_quotes": 1}
    assert peak < LIMIT_MIB


def test_a_bomb_is_refused_before_it_unfolds(tmp_path: Path) -> None:
    """Zstandard packs a gibibyte of blanks into some 33 KB."""
    receipt, peak = run(tmp_path, repeated(b"", b" " * (16 * MIB), 64), packed="zstd")
    assert receipt["verdict"] == "refused"
    assert "limits.max_inflation" in receipt["reason"]
    assert receipt["size_bytes"] < 100_000
    assert peak < LIMIT_MIB


def test_fields_of_megabytes_are_values_up_to_the_longest_record(tmp_path: Path) -> None:
    good, long = b"x" * (10 * MIB), b"y" * (17 * MIB)
    row = b'%d,7,"%b",2025-03-01\n'
    blocks = iter([HEADER, row % (1, b"x"), row % (2, good), row % (3, long), row % (4, b"z")])
    receipt, peak = run(tmp_path, blocks)
    # A status has at most 256 bytes by the contract; the record of 17 MiB is none at all.
    assert (receipt["rows_read"], receipt["verdict"]) == (4, "refused")
    assert receipt["reasons"] == {"record_too_long": 1, "too_long": 1}
    assert peak < LIMIT_MIB


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"x\n", "wrong_column_count"),
        (b"x\r", "wrong_column_count"),
        (b",,a,\n", "missing_value"),
        (b"a,b,c,d\n", "wrong_type"),
    ],
)
def test_rejects_take_no_more_memory_for_being_many(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    """12 MiB of them took up to 1.7 GB, when every block of 8 MiB was one chunk."""
    lines = 12 * MIB // len(line)
    receipt, peak = run(tmp_path, repeated(b"", line * (lines // 12), 12))
    assert receipt["rows_rejected"] == lines // 12 * 12
    assert receipt["reasons"] == {reason: receipt["rows_rejected"]}
    assert peak < 600


def test_rejects_are_printed_in_the_memory_of_a_few(tmp_path: Path) -> None:
    path = tmp_path / "orders" / "1.csv"
    path.parent.mkdir()
    path.write_bytes(HEADER + b"x\n" * 500_000)
    assert shopkpi_process(tmp_path, "validate", "orders/1.csv").code == 0
    printed = shopkpi_process(tmp_path, "rejects", "orders/1.csv", "--format", "csv")
    assert (printed.code, printed.out.count("\n")) == (0, 500_001)
    assert printed.peak_mib < 250


def split(data: bytes, block_bytes: int = 8 * MIB) -> tuple[int, int]:
    """Well-formed and malformed records."""
    splitter = RecordSplitter(max_record_bytes=16 * MIB)
    good = bad = 0
    blocks = [data[at : at + block_bytes] for at in range(0, len(data), block_bytes)]
    for number, block in enumerate(blocks):
        for chunk in splitter.split(block, last=number == len(blocks) - 1):
            good += len(find_records(chunk))
            bad += len(chunk.malformed)
    return good, bad


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        (b'a","b\n', lambda lines: (0, lines)),  # each line's quote is closed by the next one
        (b'"x\n', lambda lines: (0, lines)),
        (b'"x\n",', lambda _: (1, 0)),  # one record of many fields
        (b'"a"b\n', lambda lines: (0, lines)),
        (b'5" pipe,1\n', lambda lines: (lines, 0)),
        (b'a","""b\n', lambda lines: (0, lines)),
        (b'a","b\r', lambda lines: (0, lines)),
    ],
)
def test_time_grows_with_the_bytes_and_not_with_their_square(
    line: bytes, counts: Callable[[int], tuple[int, int]]
) -> None:
    """A hundred thousand lines took hours when each was searched to the end of the file."""
    lines = 100_000
    started = time.process_time()
    assert split(line * lines) == counts(lines)
    assert time.process_time() - started < 10


@pytest.mark.parametrize("end", [b"\n", b"\r"])
def test_lines_behind_an_open_quote_take_linear_time(end: bytes) -> None:
    """Half a million lines that end with CR took minutes: each was searched for an LF."""
    lines = 500_000
    started = time.process_time()
    assert split(b'1,"' + (b"x" + end) * lines) == (lines - 1, 1)
    assert time.process_time() - started < 5
