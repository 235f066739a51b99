"""Hold the pages of a Parquet file against limits while its bytes pass by.

A footer may lie, and a page of a few bytes may say that it has 2 GB: Arrow allocates what the
header of a page says. Headers are in Thrift's compact protocol (parquet.thrift, `PageHeader`).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

from worker.runtime.memory_budget import MIB
from worker.validate.verdict import Unreadable

MAX_PAGES_BYTES = 128 * MIB
"""Of the pages that are held at once: of each column its dictionary and its longest page, packed
and unpacked. Writers make pages of 1 MiB."""

MAX_HEADER_BYTES = MIB
"""Of one page's header, statistics included."""

DICTIONARY_PAGE = 2

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12
_MAX_DEPTH = 8


class _IncompleteError(Exception):
    """The bytes end within the header."""


@dataclass(frozen=True, kw_only=True)
class ColumnChunk:
    """Bytes of one column in one row group.

    Attributes:
        column: Its number.
        start: Of its first page.
        end: Behind its last page.
        has_dictionary: Whether the footer says that one of its pages is a dictionary.
    """

    column: int
    start: int
    end: int
    has_dictionary: bool


@dataclass(frozen=True)
class _Page:
    kind: int
    unpacked_bytes: int
    packed_bytes: int
    header_bytes: int


class PageGuard:
    """Looks at each page header that a reader gets, before the reader does."""

    def __init__(self, chunks: Sequence[ColumnChunk]) -> None:
        self._chunks = {one.start: one for one in chunks}
        self._next = sorted(self._chunks)
        self._begun: dict[int, bytes] = {}
        self._held: dict[tuple[int, bool], int] = {}

    def look(self, at: int, data: bytes) -> None:
        """Check the headers that some bytes complete.

        Raises:
            Unreadable: Pages are longer than allowed, or a header is none.
        """
        end = at + len(data)
        number = bisect_left(self._next, at)
        while number < len(self._next) and self._next[number] < end:
            place = self._next.pop(number)
            chunk, begun = self._chunks.pop(place), self._begun.pop(place, b"")
            text = begun + data[place - at : place - at + MAX_HEADER_BYTES + 1]
            try:
                page = _read_page(text)
            except _IncompleteError:
                if len(text) > MAX_HEADER_BYTES:
                    raise _damaged("a page header without an end") from None
                self._expect(place - len(begun) + len(text), chunk, text)
                continue
            self._check(chunk, page)
            following = place - len(begun) + page.header_bytes + page.packed_bytes
            if following < chunk.end:
                self._expect(following, chunk, b"")

    def _expect(self, place: int, chunk: ColumnChunk, begun: bytes) -> None:
        if place in self._chunks:
            raise _damaged("column chunks within each other")
        self._chunks[place] = chunk
        insort(self._next, place)
        if begun:
            self._begun[place] = begun

    def _check(self, chunk: ColumnChunk, page: _Page) -> None:
        is_dictionary = page.kind == DICTIONARY_PAGE
        if is_dictionary and not chunk.has_dictionary:
            raise _damaged("a dictionary that the footer does not name")
        if page.unpacked_bytes < 0 or page.packed_bytes < 0:
            raise _damaged("a page of a negative length")
        held = page.unpacked_bytes + page.packed_bytes
        place = chunk.column, is_dictionary
        self._held[place] = max(self._held.get(place, 0), held)
        if sum(self._held.values()) > MAX_PAGES_BYTES:
            raise Unreadable(
                f"expected Parquet pages of at most {MAX_PAGES_BYTES // MIB} MiB at once, got one "
                f"of {page.unpacked_bytes} bytes; write smaller pages or row groups"
            )


def _damaged(got: str) -> Unreadable:
    return Unreadable(f"expected a Parquet file, got damaged bytes: {got}")


def _read_page(text: bytes) -> _Page:
    """Read the fields 1 to 3 of a `PageHeader`, and its length."""
    reader = _Compact(text)
    fields = reader.struct(0)
    if not {1, 2, 3} <= set(fields):
        raise _damaged("a page header without a length")
    return _Page(fields[1], fields[2], fields[3], reader.at)


class _Compact:
    """Reads Thrift's compact protocol; values other than integers are passed over."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self.at = 0

    def struct(self, depth: int) -> dict[int, int]:
        """Read a struct; its integers by field."""
        if depth > _MAX_DEPTH:
            raise _damaged("a page header nested too deeply")
        fields: dict[int, int] = {}
        last = 0
        while head := self._byte():
            kind, step = head & 15, head >> 4
            last = last + step if step else self._integer()
            value = self._value(kind, depth)
            if value is not None:
                fields[last] = value
        return fields

    def _value(self, kind: int, depth: int) -> int | None:
        if kind in (_TRUE, _FALSE):
            return None
        if kind == _BYTE:
            self._skip(1)
        elif kind < _DOUBLE:
            return self._integer()
        elif kind == _DOUBLE:
            self._skip(8)
        elif kind == _BINARY:
            self._skip(self._varint())
        elif kind in (_LIST, _SET):
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._varint()
            self._elements(count, (head & 15,), depth)
        elif kind == _MAP:
            count = self._varint()
            kinds = self._byte() if count else 0
            self._elements(count, (kinds >> 4, kinds & 15), depth)
        elif kind == _STRUCT:
            self.struct(depth + 1)
        else:
            raise _damaged("a page header of an unknown form")
        return None

    def _elements(self, count: int, kinds: Sequence[int], depth: int) -> None:
        if depth > _MAX_DEPTH or count > MAX_HEADER_BYTES:
            raise _damaged("a page header nested too deeply")
        for _ in range(count):
            for kind in kinds:
                if kind in (_TRUE, _FALSE):
                    self._skip(1)  # in a list a boolean has a byte of its own
                else:
                    self._value(kind, depth + 1)

    def _integer(self) -> int:
        number = self._varint()
        return (number >> 1) ^ -(number & 1)

    def _varint(self) -> int:
        number = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
        raise _damaged("a page header of an unknown form")

    def _byte(self) -> int:
        if self.at >= len(self._text):
            raise _IncompleteError
        self.at += 1
        return self._text[self.at - 1]

    def _skip(self, count: int) -> None:
        if self.at + count > len(self._text):
            raise _IncompleteError
        self.at += count
