"""Object store over a folder tree: keys are absolute paths without their first `/`."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import filecmp
import os
import re
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISLNK, S_ISREG

import aiofiles

from worker.errors import ConfigError, SourceChanged, SourceError, SourceMissing, StoreError
from worker.objects import RENEWED_AFTER, FileStamp, ObjectInfo, ObjectWriter, OnUnlisted, Unlisted
from worker.objects.fsync import PRIVATE_FILE, make_folder, sync_folder

TEMPORARY_NAME = re.compile(r"\..+\.[0-9]+\.[0-9a-f]{8}\.tmp")
"""Names of temporary files: hidden, so never listed, in the folder of their final name."""


class FolderStore:
    """Files of this machine; a file's version is its mtime and size.

    A writer locks its temporary file (flock(2)), and the kernel releases the lock when the process
    dies. So an unlocked temporary file is abandoned: the first writer into its folder removes it.
    """

    def __init__(self) -> None:
        self._swept: set[Path] = set()

    async def list(
        self, prefix: str, *, on_unlisted: OnUnlisted | None = None
    ) -> AsyncIterator[ObjectInfo]:
        for found in await asyncio.to_thread(lambda: list(_walk(_path(prefix)))):
            if isinstance(found, ObjectInfo):
                yield found
            elif on_unlisted is not None:
                on_unlisted(found)
            elif found.is_failure:
                raise SourceError(found.reason, url=found.url)

    async def stat(self, key: str, *, version_id: str | None = None) -> ObjectInfo:
        path = _path(key)
        if version_id is not None:
            raise ConfigError(url=path, expected="no version id", hint="files have one version")
        try:
            found = await asyncio.to_thread(path.stat)
        except OSError as error:
            raise _unreadable(path, error) from error
        if not S_ISREG(found.st_mode):
            raise SourceError(url=path, expected="a file", actual="a folder or device")
        return _info(path, found)

    async def read(self, info: ObjectInfo, start: int, end: int) -> bytes:
        return (await self.read_ranges(info, [(start, end)]))[0]

    async def read_ranges(
        self, info: ObjectInfo, ranges: Sequence[tuple[int, int]]
    ) -> Sequence[bytes]:
        # All in one thread: a switch to a thread and back costs as much as reading 100 KB.
        return await asyncio.to_thread(_read, info, ranges)

    @asynccontextmanager
    async def create(self, key: str) -> AsyncIterator[ObjectWriter]:
        path = _path(key)
        try:
            await asyncio.to_thread(make_folder, path.parent)
            if path.parent not in self._swept:
                self._swept.add(path.parent)
                await asyncio.to_thread(_sweep, path.parent)
            async with _temporary_file(path) as (temporary, file):
                writer = _FileWriter(file)
                yield writer
                await file.flush()
                if writer.mtime_ns is not None:
                    os.utime(file.fileno(), ns=(writer.mtime_ns, writer.mtime_ns))
                # The ledger may name the object only once it is on the disk.
                await asyncio.to_thread(os.fsync, file.fileno())
                await asyncio.to_thread(_publish, temporary, path)
        except OSError as error:
            raise StoreError(f"cannot write: {error.strerror or error}", url=path) from error

    async def delete(self, key: str, *, version_id: str | None = None) -> None:
        path = _path(key)
        if version_id is not None:
            raise ConfigError(url=path, expected="no version id", hint="files have one version")
        try:
            await asyncio.to_thread(_delete, path)
        except OSError as error:
            raise StoreError(f"cannot delete: {error.strerror or error}", url=path) from error

    async def sweep(self, prefix: str) -> int:
        path = _path(prefix)
        try:
            return await asyncio.to_thread(_sweep_tree, path)
        except OSError as error:
            raise StoreError(f"cannot sync: {error.strerror or error}", url=path) from error

    async def close(self) -> None:
        """Do nothing: no file is held open."""


_File = aiofiles.threadpool.binary.AsyncBufferedIOBase


@asynccontextmanager
async def _temporary_file(path: Path) -> AsyncIterator[tuple[Path, _File]]:
    """Create a locked file beside `path`; it is removed when the block ends."""
    while True:
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
        try:
            async with aiofiles.open(temporary, "wb", opener=_open_private) as file:
                # Another process may have swept it between opening and locking.
                if _lock(file.fileno()) and os.fstat(file.fileno()).st_nlink:
                    yield temporary, file
                    return
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE_FILE)


def _lock(descriptor: int) -> bool:
    """Lock an open file; False where another has locked it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks
    return True


def _delete(path: Path) -> None:
    """Delete a file, so that no power failure brings it back: it may hold an erased customer."""
    with suppress(FileNotFoundError):
        path.unlink()
        sync_folder(path.parent)


def _sweep_tree(root: Path) -> int:
    """Remove the temporary files of dead processes from a folder and those below it, for good."""
    removed = 0
    for folder, _, _ in os.walk(root):
        removed += _sweep(Path(folder))
        sync_folder(Path(folder))  # also what a process deleted that was killed before its sync
    return removed


def _sweep(folder: Path) -> int:
    """Remove the temporary files of dead processes from a folder, and count them."""
    removed = 0
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if TEMPORARY_NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError), Path(entry.path).open("r+b") as file:
                    # A file system without locks raises here: the file stays.
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    Path(entry.path).unlink()
                    removed += 1
    return removed


class _FileWriter:
    def __init__(self, file: _File) -> None:
        self._file = file
        self._size_bytes = 0
        self.mtime_ns: int | None = None

    def keep_time(self, info: ObjectInfo) -> None:
        uploaded_ns = int(info.uploaded_at.timestamp() * 10**6) * 1000
        self.mtime_ns = info.stamp.mtime_ns if info.stamp else uploaded_ns

    async def write(self, data: bytes | memoryview) -> None:
        await self._file.write(data)
        if hasattr(os, "posix_fadvise"):
            # Start writing back now: else the disk would be idle until the final fsync.
            written = (self._file.fileno(), self._size_bytes, len(data), os.POSIX_FADV_DONTNEED)
            await asyncio.to_thread(os.posix_fadvise, *written)
        self._size_bytes += len(data)


def _path(key: str) -> Path:
    return Path("/") / key


def _walk(root: Path) -> Iterator[ObjectInfo | Unlisted]:
    """List the files at or below a path, ascending, and what else is there."""
    try:
        if root.is_file():
            yield _info(root, root.stat())
            return
        if not root.exists():
            return  # as an empty prefix of a bucket
        inside = f"{os.path.realpath(root)}/"
    except OSError as error:
        raise _unreadable(root, error) from error
    failed: list[OSError] = []
    paths: list[Path] = []
    for folder, folders, names in os.walk(root, onerror=failed.append, followlinks=False):
        # Hidden files and folders belong to other programs, or are our temporary files.
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [path for name in folders if _is_link(path := Path(folder, name))]
        paths += [Path(folder, name) for name in names if not name.startswith(".")]
    for failure in failed:
        where = os.fsdecode(failure.filename) if failure.filename else str(root)
        reason = f"cannot read: {failure.strerror or failure}"
        yield _unlisted(Path(where), reason, is_failure=True)
    for path in sorted(paths, key=lambda one: one.as_posix()):
        with suppress(FileNotFoundError):  # deleted since it was listed
            yield _look_up(path, inside)


def _look_up(path: Path, inside: str) -> ObjectInfo | Unlisted:
    """Describe a name below a folder.

    Args:
        path: The name.
        inside: Real path of the folder, with a `/` at its end.

    Raises:
        FileNotFoundError: It is gone.
    """
    is_link = _is_link(path)
    if is_link and not os.path.realpath(path).startswith(inside):
        return _unlisted(path, "a link that leads out of the input")
    try:
        found = path.stat()
        if S_ISREG(found.st_mode):
            return _info(path, found)
    except SourceError as error:
        return _unlisted(path, error.problem, is_failure=True)
    except OSError as error:
        if is_link and error.errno in (errno.ENOENT, errno.ELOOP):
            return _unlisted(path, "a link to nothing")
        if error.errno == errno.ENOENT:
            raise
        return _unlisted(path, f"cannot read: {error.strerror or error}", is_failure=True)
    return _unlisted(path, "a link to a folder" if is_link else "no regular file")


def _is_link(path: Path) -> bool:
    """Ask whether a name is a link; it may be where that cannot be found out."""
    try:
        return S_ISLNK(path.lstat().st_mode)
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _unlisted(path: Path, reason: str, *, is_failure: bool = False) -> Unlisted:
    return Unlisted(url=_url(path), reason=reason, is_failure=is_failure)


def _url(path: Path) -> str:
    url = f"file://{path.as_posix()}"
    return url.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _read(info: ObjectInfo, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes]:
    path = _path(info.key)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        message = "it was deleted while it was being read"
        raise SourceChanged(message, url=path, expected=info.version) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        _check_unchanged(descriptor, path, info)
        found = [_read_range(descriptor, path, start, end) for start, end in ranges]
        # A writer in between may have mixed two versions.
        _check_unchanged(descriptor, path, info)
        return found
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(descriptor)


def _check_unchanged(descriptor: int, path: Path, info: ObjectInfo) -> None:
    found = _info(path, os.fstat(descriptor))
    # A version that replaced another of the same mtime and size says more than the file can.
    if info.version != found.version and not info.version.startswith(f"{found.version}:"):
        message = "it was changed while it was being read"
        raise SourceChanged(message, url=path, expected=info.version, actual=found.version)


def _read_range(descriptor: int, path: Path, start: int, end: int) -> bytes:
    data = os.pread(descriptor, end - start, start)
    while len(data) < end - start:
        more = os.pread(descriptor, end - start - len(data), start + len(data))
        if not more:
            message = f"it has {start + len(data)} bytes by now, not {end}"
            raise SourceChanged(message, url=path)
        data += more
    return data


def _publish(temporary: Path, path: Path) -> None:
    """Give a complete file its final name, unless the same bytes are there since a short time.

    The temporary name goes before the folder is synced, or a power failure could bring it back.
    """
    try:
        os.link(temporary, path)
        temporary.unlink()
    except FileExistsError:
        is_young = time.time() - path.stat().st_mtime < RENEWED_AFTER.total_seconds()
        if is_young and filecmp.cmp(temporary, path, shallow=False):
            temporary.unlink()
        else:
            temporary.replace(path)
    except OSError:  # a file system without hard links
        temporary.replace(path)
    sync_folder(path.parent)  # also for a process that was killed before it did so


def _info(path: Path, found: os.stat_result) -> ObjectInfo:
    """Describe a file.

    Raises:
        SourceError: Its modification time is in no year from 1 to 9999.
    """
    try:
        uploaded_at = datetime.fromtimestamp(found.st_mtime_ns // 1000 / 1e6, UTC)
    except (ValueError, OverflowError, OSError) as error:
        message = "its modification time is in no year from 1 to 9999"
        raise SourceError(message, url=path, hint="set it with `touch`") from error
    return ObjectInfo(
        bucket="",
        key=path.as_posix().lstrip("/"),
        size_bytes=found.st_size,
        version=f"mtime:{found.st_mtime_ns}:{found.st_size}",
        uploaded_at=uploaded_at,
        stamp=FileStamp(found.st_mtime_ns, found.st_ctime_ns, found.st_ino),
    )


def _unreadable(path: Path, error: OSError) -> SourceError:
    kind = SourceMissing if isinstance(error, FileNotFoundError) else SourceError
    return kind(f"cannot read: {error.strerror or error}", url=path)
