"""Natural order of names: `orders_9` comes before `orders_10`."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Protocol, TypeVar


class Named(Protocol):
    """Upload with a name."""

    @property
    def uploaded_at(self) -> datetime: ...

    @property
    def name(self) -> str: ...

    @property
    def source_id(self) -> str: ...


T = TypeVar("T", bound=Named)

NUMBER = re.compile(r"([0-9]+)")


def natural_order(name: str) -> list[tuple[int, str]]:
    """Return a sort key by which numbers within names compare as numbers."""
    parts = NUMBER.split(name)  # texts and numbers by turns
    parts[1::2] = (number.lstrip("0") for number in parts[1::2])
    return [(len(part) if at % 2 else 0, part) for at, part in enumerate(parts)]


def in_natural_order(uploads: list[T]) -> list[T]:
    """Order uploads of equal times by their names; they are sorted by time."""
    ordered: list[T] = []
    start = 0
    for end in range(1, len(uploads) + 1):
        if end < len(uploads) and uploads[end].uploaded_at == uploads[start].uploaded_at:
            continue
        tied = uploads[start:end]
        if len(tied) > 1:
            tied.sort(key=lambda one: (natural_order(one.name), one.name, one.source_id))
        ordered += tied
        start = end
    return ordered
