"""Byte range of a source object: its notation, its file name, and tiling an object with ranges."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from worker.errors import ConfigError

NOTATION = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")
"""18 digits exceed every store's object size. Python refuses to convert thousands of digits."""


class ByteRange(NamedTuple):
    """Bytes [start, end) of an object as stored."""

    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> ByteRange:
        """Parse `FIRST-END`, as the command line and the names of manifests have it.

        Raises:
            ConfigError: The text is anything else, or the range is empty.
        """
        found = NOTATION.fullmatch(text)
        if found and int(found[1]) < int(found[2]):
            return cls(int(found[1]), int(found[2]))
        raise ConfigError(
            option="--range", expected="FIRST-END in bytes, such as 0-1048576", actual=text[:50]
        )

    def __str__(self) -> str:
        return f"{self.start}-{self.end}"

    @property
    def padded(self) -> str:
        """Notation of constant width: object keys then sort by position."""
        return f"{self.start:015d}-{self.end:015d}"


def tile(ranges: Iterable[ByteRange], size: int) -> list[ByteRange] | None:
    """Choose ranges that follow on each other from byte 0 to `size`.

    Ranges of other plans, which do not fit, are left out.

    Returns:
        The ranges in order; None where they leave a gap.
    """
    ends: dict[int, list[int]] = defaultdict(list)
    for start, end in ranges:
        ends[start].append(end)
    # Backwards from the end: which starts reach it, and by which range?
    following: dict[int, int] = {}
    for start in sorted(ends, reverse=True):
        for end in sorted(ends[start], reverse=True):
            if end == size or end in following:
                following[start] = end
                break
    if 0 not in following:
        return None
    tiles, at = [], 0
    while at != size:
        tiles.append(ByteRange(at, following[at]))
        at = following[at]
    return tiles


def first_gap(ranges: Iterable[ByteRange]) -> int:
    """Find the first byte that no range covers."""
    covered = 0
    for start, end in sorted(ranges):
        if start <= covered:
            covered = max(covered, end)
    return covered
