"""Files of tests: their names, texts and times."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_SECOND = 1_760_000_000
"""Time of an upload at second 0."""


@dataclass(frozen=True)
class File:
    """One upload: its name, its text, and the second at which it came."""

    name: str
    text: str
    second: int
