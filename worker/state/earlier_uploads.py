"""Uploads of which it is known already what counts: those up to a checkpoint of the ledger."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from kpi.kernels.arrays import Mask, Positions
from worker.state.records import Ruling
from worker.state.upload import Name, Upload

Sequences = npt.NDArray[np.int64]
"""Ledger sequences, ascending."""


class EarlierUploads(Protocol):
    """Accepted entries up to one ledger sequence, and what counts as of it."""

    @property
    def up_to(self) -> int:
        """The sequence."""

    @property
    def rulings(self) -> Sequence[Ruling]:
        """The last ruling on each source object that has one."""

    def counts(self, sequences: Sequences) -> Mask:
        """Return which of some accepted entries count; none of those after `up_to` does."""

    def counted(self) -> list[Upload]:
        """Return the uploads that count, ascending by sequence: all of them, as objects."""

    def moved(self) -> list[Upload]:
        """Return the uploads of files whose folder was moved, ascending by sequence."""

    def of_files(self, files: Collection[Name]) -> list[Upload]:
        """Return all uploads of some files, ascending by sequence."""

    def of_sources(self, source_ids: Collection[str]) -> list[Upload]:
        """Return the uploads of some source objects, ascending by sequence."""

    def of_contents(self, contents: Collection[str]) -> list[Upload]:
        """Return the uploads of some contents, ascending by sequence."""


@dataclass(frozen=True)
class _NoUploads:
    """The uploads of an empty ledger."""

    up_to: int = 0
    rulings: Sequence[Ruling] = ()

    def counts(self, sequences: Sequences) -> Mask:
        return np.zeros(len(sequences), bool)

    def counted(self) -> list[Upload]:
        return []

    def moved(self) -> list[Upload]:
        return []

    def of_files(self, files: Collection[Name]) -> list[Upload]:
        del files
        return []

    def of_sources(self, source_ids: Collection[str]) -> list[Upload]:
        del source_ids
        return []

    def of_contents(self, contents: Collection[str]) -> list[Upload]:
        del contents
        return []


NO_EARLIER_UPLOADS: EarlierUploads = _NoUploads()


def items_among(ascending: Sequences, wanted: Sequences) -> Positions:
    """Return the positions of the items of one ascending array that are in another, ascending."""
    starts = np.searchsorted(ascending, wanted)
    counts = np.searchsorted(ascending, wanted, "right") - starts
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(int(counts.sum()))
