"""Which tests of a run in several processes share one of them.

The marker `xdist_group` does not do it: pytest-xdist 3.8 writes the group into an attribute that
pytest 9.2 reads no more.
"""

from __future__ import annotations

import re

from xdist.scheduler import LoadScopeScheduling

SHARED = (
    # An emulator with a deployment, and syntheses of the stack, take many seconds each.
    r"tests/e2e/cloud/",
    r"tests/unit/infra/",
    r"tests/unit/benchmarks/test_harness\.py",
    # Scenes take seconds, and their tests share second runs: see `Scene.proven`.
    r"tests/recovery/test_crash_points_local\.py::.*\[(?P<group>[a-z_0-9]+)",
)
"""Patterns of node ids. Tests that a pattern matches are a group: all, or those of one `group`."""


class Distribution(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Give each process one test after the other, and tests that share something to one process."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def group_of(nodeid: str) -> str:
    """Return what the tests of a group have in common, or the test itself."""
    for pattern in SHARED:
        found = re.match(pattern, nodeid)
        if found is not None:
            return f"{pattern} {found.groupdict().get('group', '')}"
    return nodeid
