"""Recognise compressions and foreign formats by their first bytes."""

from __future__ import annotations

import enum

SKIPPABLE_FIRST_BYTES = range(0x50, 0x60)
SKIPPABLE_MAGIC_REST = b"\x2a\x4d\x18"
"""Beginning of a frame that decoders of zstd and LZ4 skip (RFC 8878, section 3.1.2)."""

SKIPPABLE_HEADER_BYTES = 8
"""Four bytes of magic number and four of the frame's length."""

ZIP, PARQUET = "a ZIP archive (an Excel workbook is one)", "a Parquet file"
"""Foreign formats that contracts of language 2 read."""

FOREIGN_FORMATS = {
    b"PK\x03\x04": ZIP,
    b"PAR1": PARQUET,
    b"%PDF": "a PDF document",
    b"\xfd7zXZ": "an xz archive",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an Excel workbook in the format before 2007 (.xls)",
    b"SQLite format 3\0": "a SQLite database",
    b"Obj\x01": "an Avro file",
    b"\x1f\x9d": "data of the program compress (.Z)",
    b"\xff\x06\0\0sNaPpY": "Snappy data",
    b"\x89LZO\0": "LZO data",
    b"\x02\x21\x4c\x18": "LZ4 data in the legacy format",
    b"\xff\xfe\0\0": "text in UTF-32 instead of UTF-8 (its byte order mark comes first)",
    b"\0\0\xfe\xff": "text in UTF-32 instead of UTF-8 (its byte order mark comes first)",
}
"""First bytes -> format that is refused by name."""


TAR_MAGIC_AT = 257
"""Offset of the magic word in a tar archive (POSIX.1-2017, pax)."""


class Codec(enum.Enum):
    """Compression that is read; the value is Arrow's name of it."""

    GZIP = "gzip"
    ZSTD = "zstd"
    BZ2 = "bz2"
    LZ4 = "lz4"

    @property
    def magic(self) -> bytes:
        """First bytes of a member or frame."""
        return _MAGIC[self]


_MAGIC = {
    Codec.GZIP: b"\x1f\x8b",  # RFC 1952
    Codec.ZSTD: b"\x28\xb5\x2f\xfd",  # RFC 8878
    Codec.BZ2: b"BZh",  # bzip2's manual
    Codec.LZ4: b"\x04\x22\x4d\x18",  # LZ4 Frame Format Description
}


def find_codec(head: bytes) -> Codec | None:
    """Recognise the compression of a stream by its beginning.

    Frames that decoders skip may come first. Where `head` ends within them, zstd is assumed: LZ4
    tools write none.
    """
    skipped = False
    while len(head) >= SKIPPABLE_HEADER_BYTES and _is_skippable(head):
        skipped = True
        size = int.from_bytes(head[4:SKIPPABLE_HEADER_BYTES], "little")
        head = head[SKIPPABLE_HEADER_BYTES + size :]
    found = next((codec for codec in Codec if head.startswith(codec.magic)), None)
    return Codec.ZSTD if found is None and skipped else found


def find_foreign_format(head: bytes) -> str | None:
    """Name the format of a stream by its beginning, where it is known and no text."""
    if head[TAR_MAGIC_AT:].startswith(b"ustar"):
        return "a tar archive"
    return next((name for magic, name in FOREIGN_FORMATS.items() if head.startswith(magic)), None)


def _is_skippable(head: bytes) -> bool:
    return head[0] in SKIPPABLE_FIRST_BYTES and head[1:4] == SKIPPABLE_MAGIC_REST
