"""The form of a pack: the bytes of its files one after another, then where each of them is."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import numpy as np

from worker.errors import DamagedObject
from worker.packs.manifest import Pack

PLACE = np.dtype(
    [
        ("sequence", "<u8"),
        ("key", "<u8"),
        ("offset", "<u4"),
        ("length", "<u4"),
        ("crc", "<u4"),
        ("zero", "<u4"),
    ]
)
"""Ledger sequence of a file, digest of its key, its bytes in the pack, and their CRC-32."""

Directory = np.ndarray[tuple[int], np.dtype[np.void]]
"""Places of the files of a pack, ascending by sequence."""


@dataclass(frozen=True, kw_only=True)
class PackedFile:
    """One small clean file.

    Attributes:
        sequence: Ledger sequence of its entry.
        key: Key of the file below the workspace.
        data: Its bytes.
    """

    sequence: int
    key: str
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Some files as they lie in a pack.

    Attributes:
        data: Their bytes.
        directory: Where they are in it.
    """

    data: bytes
    directory: Directory

    def to_bytes(self) -> bytes:
        return self.data + self.directory.tobytes()

    def describe(self, name: str) -> Pack:
        """Describe the pack with these files."""
        places = self.directory.tobytes()
        return Pack(
            name=name,
            first=int(self.directory["sequence"][0]),
            last=int(self.directory["sequence"][-1]),
            files=len(self.directory),
            size_bytes=len(self.data) + len(places),
            crc=zlib.crc32(places),
        )


def digest_of_key(key: str) -> int:
    """Return 64 bits by which files of one ledger sequence are told apart."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")


def pack_files(files: Sequence[PackedFile]) -> Contents:
    """Lay files one after another; they ascend by sequence."""
    directory = np.zeros(len(files), PLACE)
    directory["sequence"] = [file.sequence for file in files]
    directory["key"] = [digest_of_key(file.key) for file in files]
    directory["length"] = lengths = np.array([len(file.data) for file in files], np.int64)
    directory["offset"] = np.cumsum(lengths) - lengths
    directory["crc"] = [zlib.crc32(file.data) for file in files]
    return Contents(data=b"".join(file.data for file in files), directory=directory)


def join_contents(parts: Sequence[Contents]) -> Contents:
    """Lay the files of several packs one after another, from the oldest pack to the newest."""
    directories = []
    offset = 0
    for part in parts:
        directory = part.directory.copy()
        directory["offset"] += np.uint32(offset)
        directories.append(directory)
        offset += len(part.data)
    return Contents(
        data=b"".join(part.data for part in parts), directory=np.concatenate(directories)
    )


def parse_directory(pack: Pack, url: str, data: bytes) -> Directory:
    """Read the directory of a pack.

    Raises:
        DamagedObject: These are not the bytes that were written.
    """
    check_crc(url, data, pack.crc)
    return np.frombuffer(data, PLACE)


def directory_start(pack: Pack) -> int:
    """Return the offset of the directory in a pack."""
    return pack.size_bytes - pack.files * PLACE.itemsize


def check_crc(url: str, data: bytes, expected: int) -> None:
    """Check that bytes are those that were written.

    Raises:
        DamagedObject: They are not.
    """
    crc = zlib.crc32(data)
    if crc != expected:
        raise DamagedObject(
            url=url,
            expected=f"the bytes of CRC-32 {expected:08x} that were written",
            actual=f"CRC-32 {crc:08x}",
        )


async def find_file(
    pack: Pack,
    url: str,
    directory: Directory,
    read: Callable[[int, int], Awaitable[bytes]],
    *,
    sequence: int,
    key: str,
) -> bytes | None:
    """Read a file of a pack; None where the pack has it not.

    Args:
        pack: The pack.
        url: Its URL, for errors.
        directory: Its directory.
        read: Reads bytes of the pack, from an offset to another.
        sequence: Ledger sequence of the file's entry.
        key: Key of the file below the workspace.

    Raises:
        SourceError: The pack is missing or damaged.
        StoreError: The store fails after retries.
    """
    start, end = np.searchsorted(directory["sequence"], [sequence, sequence + 1])
    at = start + np.flatnonzero(directory["key"][start:end] == digest_of_key(key))
    if not len(at):
        return None
    place = directory[at[0]]
    offset, length = int(place["offset"]), int(place["length"])
    if offset + length > directory_start(pack):
        raise DamagedObject(url=url, expected="files before the directory", actual="one beyond it")
    data = await read(offset, offset + length)
    check_crc(url, data, int(place["crc"]))
    return data
