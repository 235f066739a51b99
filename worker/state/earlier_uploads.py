"""Uploads of which it is known already what counts: those up to a checkpoint of the ledger."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

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
    def counted(self) -> Sequences:
        """Sequences of the entries that count."""

    @property
    def rulings(self) -> Sequence[Ruling]:
        """The last ruling on each source object that has one."""

    def moved(self) -> list[Upload]:
        """Return the uploads of files whose folder was moved, ascending by sequence."""

    def of_files(self, files: Collection[Name]) -> list[Upload]:
        """Return all uploads of some files, ascending by sequence."""

    def of_sources(self, source_ids: Collection[str]) -> list[Upload]:
        """Return the uploads of some source objects, ascending by sequence."""

    def of_sequences(self, sequences: Collection[int]) -> list[Upload]:
        """Return the uploads of some sequences."""

    def of_contents(self, contents: Collection[str]) -> list[Upload]:
        """Return the uploads of some contents, ascending by sequence."""


@dataclass(frozen=True)
class _NoUploads:
    """The uploads of an empty ledger."""

    up_to: int = 0
    counted: Sequences = field(default_factory=lambda: np.zeros(0, np.int64))
    rulings: Sequence[Ruling] = ()

    def moved(self) -> list[Upload]:
        return []

    def of_files(self, files: Collection[Name]) -> list[Upload]:
        del files
        return []

    def of_sources(self, source_ids: Collection[str]) -> list[Upload]:
        del source_ids
        return []

    def of_sequences(self, sequences: Collection[int]) -> list[Upload]:
        del sequences
        return []

    def of_contents(self, contents: Collection[str]) -> list[Upload]:
        del contents
        return []


NO_EARLIER_UPLOADS: EarlierUploads = _NoUploads()
