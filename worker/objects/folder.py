"""A folder tree as an object store: keys are absolute paths without their first `/`."""

from __future__ import annotations

import asyncio
import filecmp
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG

import aiofiles

from worker.durable import make_folder, sync_folder
from worker.errors import ConfigError, SourceChanged, SourceError, StoreError
from worker.objects import ObjectInfo, ObjectWriter


class FolderStore:
    """Files of this machine. A file's version is its size and the time it was last changed."""

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        for info in await asyncio.to_thread(lambda: list(_walk(_path(prefix)))):
            yield info

    async def stat(self, key: str, *, version_id: str | None = None) -> ObjectInfo:
        path = _path(key)
        if version_id is not None:
            raise ConfigError(f"{path}: expected no version id, files have one version")
        try:
            found = await asyncio.to_thread(path.stat)
        except OSError as error:
            raise _unreadable(path, error) from error
        if not S_ISREG(found.st_mode):
            raise SourceError(f"{path}: expected a file, got a folder or device")
        return _info(path, found)

    async def read(self, info: ObjectInfo, start: int, end: int) -> bytes:
        return await asyncio.to_thread(_read, info, start, end)

    @asynccontextmanager
    async def create(self, key: str) -> AsyncIterator[ObjectWriter]:
        path = _path(key)
        # Beside the target, so that the rename stays in one file system; never listed (hidden).
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
        try:
            await asyncio.to_thread(make_folder, path.parent)
            async with aiofiles.open(temporary, "wb") as file:
                yield _FileWriter(file)
                await file.flush()
                # The ledger may say that the object is there only once it is on the disk.
                await asyncio.to_thread(os.fsync, file.fileno())
            await asyncio.to_thread(_appear, temporary, path)
        except OSError as error:
            raise StoreError(f"{path}: cannot write: {error.strerror or error}") from error
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    async def delete(self, key: str, *, version_id: str | None = None) -> None:
        path = _path(key)
        if version_id is not None:
            raise ConfigError(f"{path}: expected no version id, files have one version")
        try:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        except OSError as error:
            raise StoreError(f"{path}: cannot delete: {error.strerror or error}") from error

    async def close(self) -> None:
        """Nothing is held open."""


class _FileWriter:
    def __init__(self, file: aiofiles.threadpool.binary.AsyncBufferedIOBase) -> None:
        self._file = file

    async def write(self, data: bytes | memoryview) -> None:
        await self._file.write(data)


def _path(key: str) -> Path:
    return Path("/") / key


def _walk(path: Path) -> Iterator[ObjectInfo]:
    """Files at or below a path, ascending."""
    at = path
    try:
        if path.is_file():
            yield _info(path, path.stat())
            return
        if not path.exists():
            return  # as a prefix of a bucket below which there is nothing
        files: list[Path] = []
        for folder, folders, names in os.walk(path, onerror=_raise, followlinks=False):
            # Hidden files and folders are other programs' (and our own unfinished objects).
            folders[:] = [name for name in folders if not name.startswith(".")]
            files += [Path(folder, name) for name in names if not name.startswith(".")]
        for at in sorted(files, key=lambda one: one.as_posix()):
            with suppress(FileNotFoundError):  # deleted since it was listed
                found = at.stat()
                if S_ISREG(found.st_mode):
                    yield _info(at, found)
    except OSError as error:
        raise _unreadable(at, error) from error


def _raise(error: OSError) -> None:
    raise error


def _read(info: ObjectInfo, start: int, end: int) -> bytes:
    path = _path(info.key)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise SourceChanged(f"{path}: it was deleted while it was being read") from error
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        if _info(path, os.fstat(descriptor)).version != info.version:
            raise SourceChanged(f"{path}: it was changed while it was being read")
        data = os.pread(descriptor, end - start, start)
        while len(data) < end - start:
            more = os.pread(descriptor, end - start - len(data), start + len(data))
            if not more:
                raise SourceChanged(
                    f"{path}: expected bytes {start} to {end}, got {len(data)} bytes"
                )
            data += more
        # Who writes into a file while it is read may have mixed two versions.
        if _info(path, os.fstat(descriptor)).version != info.version:
            raise SourceChanged(f"{path}: it was changed while it was being read")
        return data
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(descriptor)


def _appear(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        if filecmp.cmp(temporary, path, shallow=False):
            return
        temporary.replace(path)
    except OSError:  # a file system without hard links
        temporary.replace(path)
    sync_folder(path.parent)


def _info(path: Path, found: os.stat_result) -> ObjectInfo:
    return ObjectInfo(
        bucket="",
        key=path.as_posix().lstrip("/"),
        size_bytes=found.st_size,
        version=f"mtime:{found.st_mtime_ns}:{found.st_size}",
        uploaded_at=datetime.fromtimestamp(found.st_mtime_ns // 1000 / 1e6, UTC),
    )


def _unreadable(path: Path, error: OSError) -> SourceError:
    return SourceError(f"{path}: cannot read: {error.strerror or error}")
