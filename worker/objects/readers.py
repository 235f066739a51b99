"""Who besides the owner may read KPIs and ledger of a local workspace."""

from __future__ import annotations

import os
import stat
from enum import StrEnum
from pathlib import Path

from worker.objects.fsync import PRIVATE_FOLDER

CLOSED_FOLDERS = ("clean", "rejects", "index", "iceberg")
"""Folders of a workspace that hold rows of uploads, or hashes of their ids: only the owner may
enter."""


class Readers(StrEnum):
    """Users who may read the database; all others, and all but the owner elsewhere, may not."""

    OWNER = "owner"
    GROUP = "group"
    ALL = "all"

    @property
    def file_mode(self) -> int:
        """Mode of the database."""
        return {Readers.OWNER: 0o600, Readers.GROUP: 0o640, Readers.ALL: 0o644}[self]

    @property
    def folder_bits(self) -> int:
        """Rights that the folder of the database needs, beside those that it has."""
        return {Readers.OWNER: 0o700, Readers.GROUP: 0o750, Readers.ALL: 0o755}[self]


def close_folders(workspace: Path) -> None:
    """Take all rights but the owner's from clean zone and rejects.

    Release 0.1.0 made them with the rights of the umask, and the folder above may open next.
    """
    for name in CLOSED_FOLDERS:
        try:
            descriptor = os.open(workspace / name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            os.fchmod(descriptor, stat.S_IMODE(os.fstat(descriptor).st_mode) & PRIVATE_FOLDER)
        finally:
            os.close(descriptor)


def open_folder(folder: Path, readers: Readers) -> None:
    """Let the readers enter the folder of the database; rights that it has stay."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode | readers.folder_bits != mode:
        folder.chmod(mode | readers.folder_bits)
