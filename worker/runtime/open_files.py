"""Make sure that the process may open as many files as a command needs."""

from __future__ import annotations

import resource

from worker.errors import ConfigError

WANTED_OPEN_FILES = 1024
"""Four files read and written at once, a database, and 64 connections for each of three clients."""

MIN_OPEN_FILES = 64
"""A local run needs 24."""


def ensure_open_files() -> None:
    """Raise the limit of open files, where it is low and the system allows more.

    Raises:
        ConfigError: So few are allowed that files could not be read or the event loop not begin.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= WANTED_OPEN_FILES:
        return
    allowed = WANTED_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_OPEN_FILES)
    if allowed < MIN_OPEN_FILES:
        raise ConfigError(
            expected=f"a limit of at least {MIN_OPEN_FILES} open files",
            actual=allowed,
            hint=f"raise it: ulimit -n {WANTED_OPEN_FILES}",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
