"""Names on the disk: folders that are there after a power failure too."""

from __future__ import annotations

import os
from pathlib import Path


def make_folder(path: Path) -> None:
    """Create a folder, and those above it, where they are missing.

    Their names are on the disk when it returns: a power failure does not take away what is written
    into them and synced.
    """
    try:
        path.mkdir()
    except FileNotFoundError:
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """The names in a folder are on the disk only once the folder is (fsync(2))."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
