"""ZIP archives: members by the directory, which is read by range, and sheets of workbooks."""

from __future__ import annotations

import asyncio
import io
import zipfile
import zlib
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TypeVar

from kpi.mapping.headers import FileRefusedError
from worker.runtime.memory_budget import MIB, READ_BLOCK_BYTES
from worker.validate.block import Block
from worker.validate.codecs import find_codec, find_foreign_format
from worker.validate.formats.ranged_file import RangedFile
from worker.validate.input_names import is_ignored
from worker.validate.verdict import INFLATION_FREE_BYTES, Unreadable

Result = TypeVar("Result")

BUFFER_BYTES = MIB
"""Bytes of an archive that are read at once."""

MAX_DIRECTORY_BYTES = 8 * MIB
"""Of an archive; Python holds about ten bytes for each."""

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Compressions that Python unpacks piece by piece; of the others a piece may be any length."""


class Archive:
    """A ZIP archive that is read from threads.

    Attributes:
        names: Of its members, without folders and marker files, in the directory's order.
    """

    def __init__(self, raw: RangedFile, executor: Executor, max_inflation: int) -> None:
        self._raw = raw
        self._executor = executor
        self._max_inflation = max_inflation
        self._inflated = 0
        self._file: zipfile.ZipFile | None = None
        self.names: list[str] = []

    async def open(self) -> None:
        """Read the directory.

        Raises:
            Unreadable: It is damaged.
            SourceError: The object cannot be read.
        """
        self._raw.max_read_bytes = MAX_DIRECTORY_BYTES
        buffered = io.BufferedReader(self._raw, BUFFER_BYTES)
        self._file = await self.call(lambda: zipfile.ZipFile(buffered))
        members = [
            one
            for one in self._file.infolist()
            if not one.is_dir() and not is_ignored(one.filename)
        ]
        self.names = [one.filename for one in members]
        self._check(members)

    def _check(self, members: Sequence[zipfile.ZipInfo]) -> None:
        method = next((one.compress_type for one in members if one.compress_type not in METHODS), 0)
        if method:
            name = {12: "bzip2", 14: "LZMA", 93: "Zstandard"}.get(method, f"method {method}")
            raise Unreadable(f"expected members that are stored or deflated, got {name}")
        [(name, count)] = Counter(self.names).most_common(1) or [("", 0)]
        if count > 1:
            raise Unreadable(f"expected members of different names, got {count} of {name!r}")

    @property
    def file(self) -> zipfile.ZipFile:
        assert self._file is not None  # noqa: S101  (opened by then)
        return self._file

    async def call(self, work: Callable[[], Result]) -> Result:
        """Do something with the archive in a thread.

        Raises:
            Unreadable: The archive is damaged or encrypted.
        """

        def run() -> Result:
            with decoding():
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._executor, run)

    async def blocks(self, name: str) -> AsyncGenerator[Block, None]:
        """Yield the text of a member.

        Raises:
            Unreadable: It is damaged, no text, or grows beyond `max_inflation`.
            SourceError: The object cannot be read.
        """
        member = await self.call(lambda: self.file.open(name))
        is_first = True
        try:
            while data := await self.call(lambda: member.read(READ_BLOCK_BYTES)):
                if is_first:
                    _refuse_other(data)
                    is_first = False
                self._inflated += len(data)
                # Members may share bytes, which are read once for each.
                stored = min(self._raw.bytes_read, self._raw.size())
                if self._inflated > self._max_inflation * stored + INFLATION_FREE_BYTES:
                    raise Unreadable(
                        f"expected at most {self._max_inflation} bytes out per byte in, got "
                        f"{self._inflated} bytes from {stored} (limits.max_inflation)"
                    )
                yield Block(data)
        finally:
            member.close()


def _refuse_other(head: bytes) -> None:
    foreign = find_foreign_format(head)
    codec = find_codec(head)
    if foreign is not None or codec is not None:
        got = foreign or f"{codec.value if codec else ''} data"
        raise Unreadable(f"expected text in the members of an archive, got {got}")


@contextmanager
def decoding() -> Iterator[None]:
    """Turn errors of decoding into a verdict.

    Raises:
        Unreadable: The block could not decode the archive.
    """
    try:
        yield
    except (Unreadable, FileRefusedError):
        raise
    # RuntimeError: encrypted. NotImplementedError: a compression that Python does not have.
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        raise Unreadable(f"expected a ZIP archive, got damaged bytes: {_cause(error)}") from error
    except (RuntimeError, NotImplementedError) as error:
        raise Unreadable(
            f"expected a ZIP archive that can be read, got: {_cause(error)}"
        ) from error


def _cause(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
