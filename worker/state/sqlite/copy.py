"""Copy a database beside itself before a migration, for the earlier release."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from worker.objects.fsync import PRIVATE_FILE, sync_folder

UNFINISHED_SUFFIX = ".part"
"""Behind the name of a copy that is being made."""


def copy_database(path: Path, suffix: str) -> Path:
    """Copy a database to a file of its name and a suffix, durably, and return that file.

    The caller holds the write lock, and has written nothing yet. A process killed on the way leaves
    an unfinished copy, which the next one replaces, as it does a copy that is older than the
    database.
    """
    target = path.with_name(path.name + suffix)
    unfinished = path.with_name(target.name + UNFINISHED_SUFFIX)
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE))
    source = f"file://{quote(os.fsencode(path.absolute()))}?mode=ro"
    with (
        closing(sqlite3.connect(source, uri=True)) as reader,
        closing(sqlite3.connect(unfinished)) as copy,
    ):
        reader.backup(copy)
        # Without a log of its own: the copy is one file.
        copy.execute("PRAGMA journal_mode = DELETE").close()
    unfinished.chmod(path.stat().st_mode & 0o777)
    with unfinished.open("rb+") as file:
        os.fsync(file.fileno())
    unfinished.replace(target)
    sync_folder(path.parent)
    return target
