"""Durable folders: their names survive a power failure."""

from __future__ import annotations

import os
from pathlib import Path

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
"""Modes of what we create: clean rows, rejects and database are as private as the uploads."""


def make_folder(path: Path) -> None:
    """Create a folder, and those above it, where they are missing; only its owner may enter.

    Their names are on the disk when it returns. A power failure then keeps files that are written
    into them and synced.
    """
    try:
        path.mkdir(PRIVATE_FOLDER)
    except FileNotFoundError:
        make_folder(path.parent)
        path.mkdir(PRIVATE_FOLDER, exist_ok=True)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Flush the names in a folder to the disk; syncing a file does not do that (fsync(2))."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
