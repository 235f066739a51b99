"""Cut a stream of text without quoting into chunks of whole lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kpi.contract.reject_reasons import Reason
from kpi.csv.chunk import Chunk, Malformed
from kpi.csv.dialect import plain_chunk


class LineSplitter:
    """Cuts blocks into chunks of whole lines; quotes are plain characters.

    Memory: the block and one unfinished line of at most `max_record_bytes`.
    """

    def __init__(self, *, max_record_bytes: int, offset: int = 0) -> None:
        self._limit = max_record_bytes
        self._offset = offset
        self._rest = b""
        self._skipping: Malformed | None = None

    @property
    def unfinished_bytes(self) -> int:
        """Length, so far, of the line that the next block continues."""
        return len(self._rest)

    def split(self, block: bytes, *, last: bool = False) -> Iterator[Chunk]:
        """Yield the lines that a block completes, as one chunk."""
        chunk = self._push(block, last=last)
        if chunk is not None:
            yield chunk

    def _push(self, block: bytes, *, last: bool = False) -> Chunk | None:
        data = self._rest + block
        malformed: tuple[Malformed, ...] = ()
        if self._skipping is not None:
            end = data.find(b"\n") + 1 or (len(data) if last else 0)
            if not end:
                self._offset += len(data)
                self._rest = b""
                return None
            malformed, self._skipping = (self._skipping,), None
            self._offset, data = self._offset + end, data[end:]
        end = len(data) if last else data.rfind(b"\n") + 1
        lines, self._rest = data[:end], data[end:]
        offset = self._offset
        self._offset += end
        if len(self._rest) > self._limit:
            self._skipping = self._too_long(self._rest, self._offset)
            self._offset += len(self._rest)
            self._rest = b""
        lines, more = self._without_long(lines, offset)
        if not lines and not malformed and not more:
            return None
        return replace(plain_chunk(lines, offset), malformed=(*malformed, *more))

    def _without_long(self, lines: bytes, offset: int) -> tuple[bytes, tuple[Malformed, ...]]:
        """Blank the lines that are longer than allowed."""
        if len(lines) <= self._limit:
            return lines, ()
        found, at, parts = [], 0, []
        for line in lines.splitlines(keepends=True):
            if len(line.rstrip(b"\r\n")) > self._limit:
                found.append(self._too_long(line.rstrip(b"\r\n"), offset + at))
                parts.append(b"\n" * len(line))
            else:
                parts.append(line)
            at += len(line)
        return b"".join(parts), tuple(found)

    def _too_long(self, line: bytes, offset: int) -> Malformed:
        return Malformed(offset=offset, raw=line[: self._limit], reason=Reason.RECORD_TOO_LONG)
