"""What becomes of the uploads of one name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from worker.state.upload import Run

Fate = Literal["counts", "same", "replaced", "retracted"]
"""What becomes of an upload: it counts; it equals the one before it of its name; a later file of
its name replaces it whole; it is retracted."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Decision on the uploads of one name.

    Attributes:
        counted: Sequences of the entries that count.
        fates: Sequence -> what becomes of the entry.
        runs: Runs of equal contents, before any is retracted.
    """

    counted: frozenset[int]
    fates: Mapping[int, Fate]
    runs: list[Run]
