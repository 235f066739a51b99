"""What lies below a place, to see that nothing has changed there."""

from __future__ import annotations

import os
from pathlib import Path


def listing(place: Path, *, without: Path | None = None) -> dict[str, tuple[int, int, bytes]]:
    """Everything below a place: name -> mode, mtime and content of files."""
    found = {}
    for folder, folders, names in os.walk(place):
        if without is not None and Path(folder) == without:
            folders.clear()
            continue
        for name in (*folders, *names):
            path = Path(folder, name)
            about = path.lstat()
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            # A folder's time changes with what is in it, which is listed for itself.
            mtime = about.st_mtime_ns if path.is_file() else 0
            found[str(path)] = (about.st_mode, mtime, content)
    if without is not None:
        found.pop(str(without), None)
    return found
