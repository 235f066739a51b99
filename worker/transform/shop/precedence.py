"""Order the files of a dataset, and find those that a later one replaced whole (rule 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kpi.aggregation.shop_versions import FedFile, replaced_by
from kpi.kernels.arrays import Int64s


@dataclass(frozen=True, kw_only=True)
class Precedence:
    """Files of one dataset, from the earliest upload to the latest.

    Attributes:
        sources: Source object of each.
        files: The files.
        by: Place of the later file that replaced each of them whole; -1 for none.
        places: Source object -> place of its file.
    """

    sources: Sequence[str]
    files: Sequence[FedFile]
    by: Int64s
    places: Mapping[str, int]

    @classmethod
    def of(cls, files: Mapping[str, FedFile], *, by_name: bool) -> Precedence:
        """Order files.

        Args:
            files: Source object -> file, from the earliest upload to the latest.
            by_name: Whether a later file of a name always replaces the earlier one.
        """
        ordered = list(files.values())
        return cls(
            sources=list(files),
            files=ordered,
            by=replaced_by(ordered, by_name=by_name),
            places={source_id: place for place, source_id in enumerate(files)},
        )

    def rank(self, source_id: str) -> tuple[int, int]:
        """Return where the rows of a file stand: a replaced file stands before the later one."""
        place = self.places[source_id]
        by = int(self.by[place])
        return (by if by >= 0 else place), place

    @property
    def gone(self) -> set[str]:
        """Source objects whose file was replaced."""
        return {self.sources[place] for place in np.flatnonzero(self.by >= 0).tolist()}

    def replacer(self, source_id: str) -> str | None:
        """Return the source object that replaced the file of another one; None where none did."""
        place = self.places.get(source_id)
        if place is None or self.by[place] < 0:
            return None
        return self.sources[int(self.by[place])]
