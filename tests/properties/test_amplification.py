"""Whatever is in a file, memory is bounded and little more is written than was read.

The rule of docs/security.md: at most 600 MiB of memory, and at most 5 times the uncompressed input
and 1 MiB in clean files, rejects and temporary ones.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.support.commands import shopkpi_process

MIB = 2**20
INPUT_BYTES = 9 * MIB
PEAK_BYTES = 600 * MIB
HEADER = b"order_id,user_id,created_at"
MANY = b",".join(f"c{number:03d}_".ljust(255, "x").encode() for number in range(996))
WIDE_HEADER = HEADER + b"," + MANY
REAL_HEADER = (
    b"order_id,user_id,status,gender,created_at,returned_at,shipped_at,delivered_at,num_of_item"
)


def lines(header: bytes, line: Iterator[bytes]) -> bytes:
    parts, size = [header], len(header)
    for one in line:
        parts.append(one)
        size += len(one) + 1
        if size > INPUT_BYTES:
            break
    return b"\n".join(parts) + b"\n"


def numbered(rest: bytes) -> Iterator[bytes]:
    number = 0
    while True:
        number += 1
        yield b"%d,1,2025-01-01%s" % (number, rest)


def drawn(cells: list[bytes], width: int, *, before: bool) -> Iterator[bytes]:
    draw = random.Random(7)
    for row in numbered(b","):
        yield (row if before else b"") + b",".join(draw.choices(cells, k=width))


FILES = {
    "empty cells of many columns": lambda: lines(WIDE_HEADER, numbered(b"," * 996)),
    "short cells of many columns": lambda: lines(
        WIDE_HEADER, drawn([b"a", b"b"], 996, before=True)
    ),
    "bad bytes in many columns": lambda: lines(
        WIDE_HEADER, drawn([b"\xff", b"a"], 996, before=True)
    ),
    "lines of one character": lambda: HEADER + b"\n" + b"x\n" * (INPUT_BYTES // 2),
    "empty records": lambda: HEADER + b"\n" + b",,\n" * (INPUT_BYTES // 3),
    "several reasons in each row": lambda: lines(
        REAL_HEADER, drawn([b"x", b"", b"1", b"-"], 9, before=False)
    ),
    "random widths": lambda: lines(HEADER, (b"," * (number * number % 9) for number in count())),
    "quotes that open on each line": lambda: lines(HEADER + b",note", numbered(b',"x')),
    "each quote closed by the next line": lambda: HEADER + b"\n" + b'a","b\n' * (INPUT_BYTES // 6),
    "tiny lines behind an open quote": lambda: (
        HEADER + b'\n1,1,"' + b"x\n" * (INPUT_BYTES // 2) + b'"y\n' + b"x\n" * (INPUT_BYTES // 2)
    ),
    "tiny lines of CR behind an open quote": lambda: (
        HEADER + b'\n1,1,"' + b"x\r" * (INPUT_BYTES // 2)
    ),
    "two of the longest records, of quotes": lambda: (
        HEADER + b",note\n" + (b'1,1,2025-01-01,"' + b'""' * (8 * MIB - 20) + b'"\n') * 2
    ),
    "long fields": lambda: lines(HEADER + b",note", numbered(b"," + b"y" * MIB)),
    "one long line": lambda: HEADER + b"\n" + b"z" * INPUT_BYTES,
    "the same row": lambda: HEADER + b"\n" + b"1,1,2025-01-01\n" * (INPUT_BYTES // 15),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILES)
def test_memory_and_written_bytes_are_bounded(kind: str, tmp_path: Path) -> None:
    content = FILES[kind]()
    (tmp_path / "in/orders").mkdir(parents=True)
    (tmp_path / "in/orders/1.csv").write_bytes(content)
    done = shopkpi_process(tmp_path, "run", "in", "--workspace", "work", "--format", "json")
    assert done.code in (0, 1, 4), done.out
    assert "source.committed" in done.out or "source.refused" in done.out
    assert done.peak_mib * MIB <= PEAK_BYTES
    written = sum(path.stat().st_size for path in (tmp_path / "work").rglob("*.parquet"))
    assert written <= 5 * len(content) + MIB
