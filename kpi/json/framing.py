"""Find where the records of a stream of JSON end, without reading their values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from kpi.errors import KpiError
from kpi.kernels.arrays import Int64s

WHITESPACE = b" \t\r\n"

QUOTE, COMMA, OPEN_LIST, CLOSE_LIST, OPEN, CLOSE = b'",[]{}'
_IS_STRUCTURE = np.zeros(256, bool)
_IS_STRUCTURE[[QUOTE, OPEN_LIST, CLOSE_LIST, OPEN, CLOSE]] = True
_ESCAPED = re.compile(rb"\\.", re.DOTALL)


MAX_VALUES = 1_500_000
"""Values of one record: parsed, each takes up to 64 bytes. 16 MiB of orders have fewer."""

GROUP_VALUES = 500_000
"""Values of the records that are parsed together."""

TOO_LONG_KEPT_BYTES = 2**16
"""Of a record with too many values, for its reject."""

COMMON_GAPS = frozenset((b",", b", ", b",\n", b",\r\n", b",\n  ", b",\n    "))
"""What stands between most objects of a list."""


class NotRecordsError(KpiError):
    """The text is no sequence or list of objects; the message says where and why."""


@dataclass(frozen=True)
class Records:
    """Records that some bytes complete.

    Attributes:
        texts: Bytes of each.
        offsets: Of their first bytes in the stream.
        too_long: Those that are longer than allowed, by position; their bytes are the beginning.
    """

    texts: list[bytes]
    offsets: Int64s
    too_long: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.texts)

    def groups(self) -> Iterator[Records]:
        """Divide the records into such as fit memory once they are parsed.

        A record with more than `MAX_VALUES` counts as too long.
        """
        # Commas in strings count too, and nesting, which has none, is bounded by the parser.
        values = np.array([text.count(b",") + 1 for text in self.texts], np.int64)
        many = frozenset(np.flatnonzero(values > MAX_VALUES).tolist())
        values[list(many)] = 1
        group_of = np.cumsum(values) // GROUP_VALUES
        edges = [0, *(np.flatnonzero(np.diff(group_of)) + 1).tolist(), len(self)]
        too_long = self.too_long | many
        for start, stop in pairwise(edges):
            texts = self.texts[start:stop]
            inside = frozenset(at - start for at in too_long if start <= at < stop)
            for at in many:
                if start <= at < stop:
                    texts[at - start] = texts[at - start][:TOO_LONG_KEPT_BYTES]
            if texts:
                yield Records(texts, self.offsets[start:stop], inside)


class Framer(Protocol):
    """Cuts a stream into records."""

    def push(self, block: bytes, *, last: bool = False) -> Records:
        """Return the records that a block completes.

        Raises:
            NotRecordsError: There is something else between them, or the last one does not end.
        """


def make_framer(head: bytes, *, max_record_bytes: int) -> Framer:
    """Choose how the records of a stream are separated.

    Args:
        head: Beginning of the stream.
        max_record_bytes: Length of a record at most.
    """
    text = head.lstrip(WHITESPACE)
    if text.startswith(b"["):
        return ObjectFramer(max_record_bytes=max_record_bytes, in_list=True)
    first_line, newline, _ = text.partition(b"\n")
    if first_line.rstrip().endswith(b"}") or not newline:
        return LineFramer(max_record_bytes=max_record_bytes)
    return ObjectFramer(max_record_bytes=max_record_bytes, in_list=False)


def looks_like_json(head: bytes) -> bool:
    """Whether a text begins as an object, or as a list of objects, does."""
    text = head.lstrip(WHITESPACE)
    return re.match(rb'\{[ \t\r\n]*["}]|\[[ \t\r\n]*[\]{]', text) is not None


class LineFramer:
    """Takes each line for a record (JSON Lines); a broken line costs no other one.

    Memory: the block and one unfinished line of at most `max_record_bytes`.
    """

    def __init__(self, *, max_record_bytes: int) -> None:
        self._limit = max_record_bytes
        self._rest = b""
        self._offset = 0
        self._skipped: bytes | None = None
        self._skipped_bytes = 0

    def push(self, block: bytes, *, last: bool = False) -> Records:
        """Return the lines that a block completes; blank ones are none."""
        data = self._rest + block
        offset, texts, skipped_bytes = self._offset, list[bytes](), list[int]()
        if self._skipped is not None:
            end = data.find(b"\n") + 1 or (len(data) if last else 0)
            self._skipped_bytes += end or len(data)
            if not end:
                self._rest = b""
                return Records([], np.zeros(0, np.int64))
            texts, skipped_bytes = [self._skipped], [self._skipped_bytes]
            self._skipped, data = None, data[end:]
        lines = data.split(b"\n")
        self._rest = b"" if last else lines.pop()
        texts += lines
        lengths = np.fromiter(map(len, lines), np.int64, len(lines)) + 1
        ends = offset + np.cumsum(np.concatenate([np.array(skipped_bytes, np.int64), lengths]))
        self._offset = int(ends[-1]) if len(ends) else offset
        if len(self._rest) > self._limit:
            self._skipped, self._skipped_bytes = self._rest[: self._limit + 1], len(self._rest)
            self._rest = b""
        starts = np.concatenate([[offset], ends[:-1]]) if len(ends) else np.zeros(0, np.int64)
        return self._without_blank_lines(texts, starts)

    def _without_blank_lines(self, texts: list[bytes], starts: Int64s) -> Records:
        if not all(map(bytes.strip, texts)):
            kept = [at for at, text in enumerate(texts) if text.strip()]
            texts, starts = [texts[at] for at in kept], starts[kept]
        limit = self._limit
        too_long = frozenset[int]()
        if max(map(len, texts), default=0) > limit:
            lengths = [len(text.strip()) if len(text) > limit else 0 for text in texts]
            too_long = frozenset(at for at, length in enumerate(lengths) if length > limit)
        for at in too_long:
            texts[at] = texts[at][:limit]
        return Records(texts, starts, too_long)


class ObjectFramer:
    """Finds the objects of one list, or objects that follow each other over any lines.

    Memory: the block and one unfinished object of at most `max_record_bytes`.
    """

    def __init__(self, *, max_record_bytes: int, in_list: bool) -> None:
        """Make a framer.

        Args:
            max_record_bytes: Length of an object at most.
            in_list: Whether the objects are elements of one list.
        """
        self._limit = max_record_bytes
        self._in_list = in_list
        self._rest = b""
        self._offset = 0
        self._state = "before" if in_list else "inside"
        self._objects = 0
        self._has_comma = False

    def push(self, block: bytes, *, last: bool = False) -> Records:
        """Return the objects that a block completes.

        Raises:
            NotRecordsError: Something else stands between them, the last one does not end, or one
                is longer than allowed.
        """
        data = self._rest + block
        starts, ends = self._objects_in(data)
        texts, at = [], 0
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            gap = data[at:start]
            if gap in COMMON_GAPS and self._in_list and self._objects and not self._has_comma:
                self._objects += 1
            else:
                self._check_gap(gap, self._offset + at)
                self._begin_object(self._offset + start)
            texts.append(data[start:end])
            at = end
        self._check_length(int((ends - starts).max(initial=0)))
        begins = data.find(b"{", at)
        if begins < 0:
            self._check_gap(data[at:], self._offset + at)
            at = len(data)
        else:
            self._check_length(len(data) - begins)
        if last and begins >= 0:
            raise NotRecordsError(
                f"expected objects that end, got one at byte {self._offset + begins} that does not"
            )
        if last and self._in_list and self._state != "after":
            raise NotRecordsError("expected a list that ends, got the end of the file in it")
        records = Records(texts, self._offset + starts)
        self._offset += at
        self._rest = data[at:]
        return records

    def _check_length(self, length: int) -> None:
        if length > self._limit:
            raise NotRecordsError(
                f"expected objects of at most {self._limit} bytes (limits.max_record_bytes), got a "
                "longer one"
            )

    def _begin_object(self, offset: int) -> None:
        """Check that a comma stands before each object of a list but the first."""
        if self._in_list and self._objects and not self._has_comma:
            raise NotRecordsError(f"expected a comma before the object at byte {offset}, got none")
        self._objects += 1
        self._has_comma = False

    def _objects_in(self, data: bytes) -> tuple[Int64s, Int64s]:
        """Find the objects that begin and end in a text which begins outside of any."""
        codes = np.frombuffer(data, np.uint8)
        places = np.flatnonzero(_IS_STRUCTURE[codes])
        if b"\\" in data:
            escaped = np.array([found.end() - 1 for found in _ESCAPED.finditer(data)], np.int64)
            places = np.setdiff1d(places, escaped, assume_unique=True)
        marks = codes[places]
        quotes = marks == QUOTE
        # After an odd number of quotes a place is inside a string.
        outside = (np.cumsum(quotes) % 2 == 0) & ~quotes
        places, marks = places[outside], marks[outside]
        first = 0
        if self._in_list and self._state == "before" and len(marks) and marks[0] == OPEN_LIST:
            first = 1
        steps = np.where((marks == OPEN) | (marks == OPEN_LIST), 1, -1)[first:]
        places, marks = places[first:], marks[first:]
        depth = np.cumsum(steps)
        below = np.flatnonzero(depth < 0)
        if len(below):
            depth, places, marks = depth[: below[0]], places[: below[0]], marks[: below[0]]
            steps = steps[: below[0]]
        is_start = (depth == 1) & (steps == 1)
        is_end = (depth == 0) & (steps == -1)
        starts, ends = places[is_start], places[is_end] + 1
        return starts[: len(ends)], ends

    def _check_gap(self, gap: bytes, offset: int) -> None:
        """Check what stands between two objects: blanks, and one comma in a list."""
        for at, mark in enumerate(gap):
            if mark not in WHITESPACE and not self._take(mark):
                expected = {
                    "before": "a list of objects",
                    "inside": "objects alone",
                    "after": "nothing behind the list",
                }[self._state]
                raise NotRecordsError(
                    f"expected {expected}, got another character at byte {offset + at}"
                )

    def _take(self, mark: int) -> bool:
        """Take a character of a list that is outside of its objects; False for one too many."""
        state = self._state if self._in_list else ""
        if state == "before" and mark == OPEN_LIST:
            self._state = "inside"
        elif state == "inside" and mark == CLOSE_LIST and not self._has_comma:
            self._state = "after"
        elif state == "inside" and mark == COMMA and self._objects and not self._has_comma:
            self._has_comma = True
        else:
            return False
        return True
