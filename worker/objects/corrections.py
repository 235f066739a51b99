"""Corrections: records of a source object that a person has corrected, read in their places.

Whoever validates a source object with corrections gets what the supplier would have got, had the
rows been right in the file: the rank of each row, the checks that look at several rows, and the
verdict follow from that alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from worker.errors import SourceError

DIGEST_DIGITS = 8
"""Hex digits of a digest in the keys of what was made with the corrections."""


@dataclass(frozen=True, kw_only=True, order=True)
class Correction:
    """One corrected record.

    Attributes:
        byte_offset: Of the record's first byte in the text of the object.
        row: Its row as a spreadsheet counts: the header is row 1.
        raw: The bytes that it has there, without line end.
        corrected: Those that are read instead.
    """

    byte_offset: int
    row: int
    raw: bytes
    corrected: bytes


@dataclass(frozen=True)
class Corrections:
    """The corrected records of one source object, in their order."""

    records: tuple[Correction, ...]

    @classmethod
    def of(cls, records: Iterable[Correction]) -> Corrections:
        return cls(tuple(sorted(records)))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that they say, in hex."""
        digest = hashlib.sha256()
        for one in self.records:
            numbers = f"{one.row} {one.byte_offset} {len(one.raw)} {len(one.corrected)}\n"
            digest.update(numbers.encode() + one.raw + one.corrected)
        return digest.hexdigest()

    @property
    def name(self) -> str:
        """Part of the keys of what was made with them."""
        return f"-r{self.digest[:DIGEST_DIGITS]}"

    @property
    def rows(self) -> set[int]:
        return {one.row for one in self.records}

    def original_offsets(self, offsets: Iterable[int]) -> Iterator[int]:
        """Return where records stand in the object, from where they stood in what was read.

        Args:
            offsets: Offsets in the text with the corrections, ascending.
        """
        longer, at = 0, 0
        for offset in offsets:
            while at < len(self.records) and self.records[at].byte_offset + longer < offset:
                longer += len(self.records[at].corrected) - len(self.records[at].raw)
                at += 1
            yield offset - longer

    async def apply(self, texts: AsyncIterator[bytes], url: str) -> AsyncGenerator[bytes, None]:
        """Yield a text with the corrected records in the places of the others.

        Args:
            texts: The text of the source object.
            url: Of the source object, for errors.

        Raises:
            SourceError: A record is not where it was.
        """
        at, held, todo = 0, b"", list(reversed(self.records))
        async for text in texts:
            held, done = held + text if held else text, []
            while todo and todo[-1].byte_offset < at + len(held):
                one = todo[-1]
                start = one.byte_offset - at
                # Records of JSON may have blanks before them.
                start += len(held) - start - len(held[start:].lstrip()) if _is_json(one) else 0
                found = held[start : start + len(one.raw)]
                if len(found) < len(one.raw) and one.raw.startswith(found):
                    break  # the rest of it comes with the next block
                if found != one.raw:
                    raise _moved(one, url)
                done += [held[:start], one.corrected]
                at, held = at + start + len(one.raw), held[start + len(one.raw) :]
                todo.pop()
            if not (todo and todo[-1].byte_offset < at + len(held)):
                done.append(held)
                at, held = at + len(held), b""
            if any(done):
                yield b"".join(done)
        if todo:
            raise _moved(todo[-1], url)


def _is_json(one: Correction) -> bool:
    return one.raw.startswith(b"{")


def _moved(one: Correction, url: str) -> SourceError:
    return SourceError(
        f"row {one.row} was repaired, and is not where it was",
        url=url,
        expected=f"{len(one.raw)} bytes of it at offset {one.byte_offset}",
        actual="others",
        retryable=False,
        hint="was the raw file replaced? `shopkpi retract` takes an upload out of the KPIs",
    )
