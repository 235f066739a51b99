"""Model of a disk after a power failure: the least of a folder that it may keep.

A file keeps the bytes of its last fsync, a folder the names of its own. By fsync(2), a file's name
is not on the disk before its folder is synced. SQLite syncs its files at each commit, and its
folder when it creates its log.
"""

from __future__ import annotations

import os
from pathlib import Path

_open = os.open  # not what a test has put in its place


class Disk:
    """Record every sync below `root`; what exists at the beginning is kept."""

    def __init__(self, root: Path) -> None:
        self._root = root
        # By inode, since a file's bytes do not depend on its names.
        self._names: dict[int, dict[str, int]] = {}
        self._bytes: dict[int, tuple[bytes, int]] = {}
        self._folders: set[int] = set()
        self._logs: set[int] = set()
        self.arrived(root)

    def arrived(self, folder: Path) -> None:
        """Record that everything below `folder` is on the disk."""
        for path, _, files in os.walk(folder):
            self._keep_names(Path(path))
            for file in files:
                self._keep_bytes(Path(path, file))

    def synced(self, path: Path) -> None:
        """Record the sync of a file or folder."""
        if path.is_dir():
            self._keep_names(path)
        else:
            self._keep_bytes(path)

    def committed(self) -> None:
        """Record that a COMMIT has returned."""
        for path in self._root.rglob("*.db*"):
            self._keep_bytes(path)
            if path.name.endswith("-wal") and path.stat().st_ino not in self._logs:
                self._logs.add(path.stat().st_ino)
                self._keep_names(path.parent)

    def copy(self, folder: str) -> None:
        """Write what would be left to `folder`."""
        target = Path(folder)
        target.mkdir()
        for name, kept in self._tree(self._root.stat().st_ino, ""):
            path = target / name
            if kept is None:
                path.mkdir()
            else:
                path.write_bytes(kept[0])
                os.utime(path, ns=(kept[1], kept[1]))

    def _tree(self, folder: int, prefix: str) -> list[tuple[str, tuple[bytes, int] | None]]:
        """Read paths and bytes of files; None for a folder, which precedes its content."""
        found: list[tuple[str, tuple[bytes, int] | None]] = []
        for name, inode in self._names.get(folder, {}).items():
            if inode in self._folders:
                found += [(prefix + name, None), *self._tree(inode, f"{prefix}{name}/")]
            else:
                # A name may be on the disk before the bytes are.
                found.append((prefix + name, self._bytes.get(inode, (b"", 0))))
        return found

    def _keep_names(self, folder: Path) -> None:
        entries = list(os.scandir(folder))
        self._names[folder.stat().st_ino] = {one.name: one.inode() for one in entries}
        self._folders |= {one.inode() for one in entries if one.is_dir()}

    def _keep_bytes(self, path: Path) -> None:
        found = path.stat()
        if found.st_ino not in self._bytes:
            # While it is open, no other file can get its inode.
            _open(path, os.O_RDONLY)
        self._bytes[found.st_ino] = (path.read_bytes(), found.st_mtime_ns)
