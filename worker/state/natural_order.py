"""Natural order of names: `orders_9` comes before `orders_10`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
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


def in_precedence(uploads: Iterable[T]) -> list[T]:
    """Order uploads by time, and those of equal times by their names."""
    of_time = sorted(uploads, key=lambda one: one.uploaded_at)
    ordered: list[T] = []
    for _, tied in groupby(of_time, key=lambda one: one.uploaded_at):
        ordered += in_natural_order(list(tied))
    return ordered


def in_natural_order(tied: list[T]) -> list[T]:
    """Order uploads of one time by their names."""
    if len(tied) > 1:
        tied.sort(key=lambda one: (natural_order(one.name), one.name, one.source_id))
    return tied
