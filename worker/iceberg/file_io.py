"""Let pyiceberg read and write metadata through the object store of the workspace.

So files get the rights of all others in the folder, appear whole or not at all, and S3 is reached
with the client, the credentials and the retries of the rest of the worker.
"""

from __future__ import annotations

import asyncio
import errno
import io
import itertools
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from pyiceberg.io import FileIO, InputFile, OutputFile
from pyiceberg.typedef import EMPTY_DICT, Properties

from worker.errors import SourceMissing
from worker.objects import ObjectStore
from worker.objects.location import locate

T = TypeVar("T")

STORE_PROPERTY = "shopkpi.store"
"""Property of a catalog that names the store; it is not written anywhere."""

_stores: dict[str, StoreBridge] = {}
_numbers = itertools.count()


@dataclass(frozen=True, kw_only=True)
class OpenedFile:
    """A file that pyiceberg read.

    Attributes:
        url: The file.
        data: Its bytes; none where it could not be read.
    """

    url: str = ""
    data: bytes = b""


class StoreBridge:
    """Calls an asynchronous store from pyiceberg's threads.

    Attributes:
        opened: The file that was opened last: an error of pyiceberg's parsers does not name it.

    Args:
        store: The store.
        loop: The loop that it belongs to; it must not be waiting for the caller.
    """

    def __init__(self, store: ObjectStore, loop: asyncio.AbstractEventLoop) -> None:
        self.store = store
        self.opened = OpenedFile()
        self._loop = loop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


@contextmanager
def bridged(store: ObjectStore) -> Iterator[dict[str, str]]:
    """Yield properties by which a catalog reads and writes through a store of this loop."""
    name = str(next(_numbers))
    _stores[name] = StoreBridge(store, asyncio.get_running_loop())
    try:
        yield {"py-io-impl": f"{__name__}.{StoreFileIO.__name__}", STORE_PROPERTY: name}
    finally:
        del _stores[name]


def bridge_of(file_io: Mapping[str, str]) -> StoreBridge:
    """Return the bridge of properties of `bridged`."""
    return _stores[file_io[STORE_PROPERTY]]


def key_of(url: str) -> str:
    """Return the key of the object of a URL."""
    return locate(url).key


class StoreFileIO(FileIO):  # type: ignore[misc]  # pyiceberg counts as untyped
    """pyiceberg's access to objects; each is held whole: metadata are small."""

    def __init__(self, properties: Properties = EMPTY_DICT) -> None:
        super().__init__(properties)
        self._bridge = bridge_of(properties)

    def new_input(self, location: str) -> StoredFile:
        return StoredFile(location, self._bridge)

    def new_output(self, location: str) -> StoredFile:
        return StoredFile(location, self._bridge)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        url = location if isinstance(location, str) else location.location
        self._bridge.run(self._bridge.store.delete(key_of(url)))


class StoredFile(InputFile, OutputFile):  # type: ignore[misc]  # pyiceberg counts as untyped
    """One object."""

    def __init__(self, location: str, bridge: StoreBridge) -> None:
        super().__init__(location)
        self.bridge = bridge
        self.key = key_of(location)

    def __len__(self) -> int:
        return self.bridge.run(self.bridge.store.stat(self.key)).size_bytes

    def exists(self) -> bool:
        try:
            len(self)
        except SourceMissing:
            return False
        return True

    def open(self, seekable: bool = True) -> io.BytesIO:  # noqa: ARG002  (of the protocol)
        self.bridge.opened = OpenedFile(url=self.location)
        try:
            data = self.bridge.run(self._read())
        except SourceMissing as error:
            raise FileNotFoundError(errno.ENOENT, str(error), self.location) from error
        self.bridge.opened = OpenedFile(url=self.location, data=data)
        return io.BytesIO(data)

    def create(self, overwrite: bool = False) -> _Upload:
        if not overwrite and self.exists():
            raise FileExistsError(self.key)
        return _Upload(self)

    def to_input_file(self) -> StoredFile:
        return self

    async def _read(self) -> bytes:
        info = await self.bridge.store.stat(self.key)
        return await self.bridge.store.read(info, 0, info.size_bytes)

    async def write(self, data: bytes) -> None:
        """Write the object."""
        async with self.bridge.store.create(self.key) as writer:
            await writer.write(data)


class _Upload(io.BytesIO):
    """Writes its bytes as an object when it is closed, unless the block raised."""

    def __init__(self, file: StoredFile) -> None:
        super().__init__()
        self._file: StoredFile | None = file

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._file = None
        self.close()

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.bridge.run(file.write(self.getvalue()))
        super().close()
