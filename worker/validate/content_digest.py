"""Identify the stored bytes of an object by the digests of its parts.

Parts of `CONTENT_PART_BYTES` are hashed apart, so that byte ranges of an object can be hashed by
several tasks. Ranges end between records, not between parts: a task hashes the parts that *begin*
in its range, and reads the last of them to its end, up to one part further than its range.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from worker.state.entry import CONTENT_PART_BYTES
from worker.validate.byte_range import ByteRange

DIGEST_CHARACTERS = 64
"""Hex digits of a SHA-256."""


@dataclass(frozen=True, slots=True)
class Hashing:
    """What is hashed beside the parts.

    Attributes:
        whole: Whether the SHA-256 of all bytes is wanted too. It costs nothing for one part.
        refused: Whether objects that are refused early are read to their end.
    """

    whole: bool = False
    refused: bool = False


class ContentDigest:
    """Takes the bytes of an object from the start of a range on."""

    def __init__(self, byte_range: ByteRange, size_bytes: int, *, whole: bool = False) -> None:
        self._at = byte_range.start
        self._first = _border_from(byte_range.start)
        self._end = max(min(_border_from(byte_range.end), size_bytes), byte_range.start)
        self._part = hashlib.sha256()
        self._digests: list[str] = []
        self._whole = hashlib.sha256() if whole and size_bytes > CONTENT_PART_BYTES else None
        self._is_one_part = size_bytes <= CONTENT_PART_BYTES
        if not size_bytes:
            self._digests.append(self._part.hexdigest())

    @property
    def end(self) -> int:
        """End of the bytes that are to be taken."""
        return self._end

    @property
    def is_complete(self) -> bool:
        return self._at >= self._end

    @property
    def parts(self) -> str | None:
        """Digests of the parts, one after the other; None before all bytes were taken."""
        return "".join(self._digests) if self.is_complete else None

    @property
    def sha256(self) -> str | None:
        """SHA-256 of all bytes; None where it was not asked for, or before all were taken."""
        if not self.is_complete:
            return None
        if self._is_one_part:
            return "".join(self._digests) or None
        return None if self._whole is None else self._whole.hexdigest()

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes; those behind `end` are passed over."""
        view = memoryview(data)
        if self._whole is not None:
            self._whole.update(view)
        while view and self._at < self._end:
            hashes = self._at >= self._first
            stop = min(
                self._at // CONTENT_PART_BYTES * CONTENT_PART_BYTES + CONTENT_PART_BYTES, self._end
            )
            taken = view[: stop - self._at]
            if hashes:
                self._part.update(taken)
            self._at += len(taken)
            view = view[len(taken) :]
            if hashes and self._at == stop:
                self._digests.append(self._part.hexdigest())
                self._part = hashlib.sha256()


def content_of_parts(parts: str) -> str:
    """Combine the digests of all parts of an object; see `CONTENT_PART_BYTES`."""
    if len(parts) == DIGEST_CHARACTERS:
        return parts
    combined = hashlib.sha256(bytes.fromhex(parts)).hexdigest()
    return f"{combined}-{len(parts) // DIGEST_CHARACTERS}"


def _border_from(offset: int) -> int:
    """Return the first border of parts at or behind an offset."""
    return -(-offset // CONTENT_PART_BYTES) * CONTENT_PART_BYTES
