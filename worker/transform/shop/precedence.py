"""Order the files of a dataset, and find those that a later one replaced whole (rule 8)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kpi.aggregation.shop_versions import replaced_by
from kpi.kernels.arrays import Int64s, Mask
from worker.transform.clean_files import CleanFile
from worker.transform.history import Places
from worker.transform.shop.feeds import Feeds


@dataclass(frozen=True, kw_only=True)
class Precedence:
    """Order of the uploads that feed one dataset; each is known by its first row.

    Attributes:
        places: Place of each row's upload, from the earliest; -1 where it does not count.
        by: Row of the later upload that replaced it whole; -1 for none. None where none is.
    """

    places: Places
    by: Int64s | None

    def stands_for(self, file: CleanFile) -> int:
        """Return the upload at whose time the rows of a file stand: that which replaced it."""
        by = -1 if self.by is None else int(self.by[file.upload])
        return by if by >= 0 else file.upload

    @cached_property
    def stands_at(self) -> Places:
        """Place of each row's upload, or of the later upload that replaced it whole."""
        if self.by is None:
            return self.places
        return np.where(self.by >= 0, self.places[self.by], self.places)

    def rank(self, file: CleanFile) -> tuple[int, int]:
        """Return where the rows of a file stand: a replaced file stands before the later one."""
        return int(self.places[self.stands_for(file)]), int(self.places[file.upload])

    def is_replaced(self, file: CleanFile) -> bool:
        """Return whether a later file took the place of a whole file."""
        return self.stands_for(file) != file.upload

    @property
    def counts(self) -> Mask:
        """Which rows are of uploads that count."""
        found: Mask = self.places >= 0
        return found


def precedence(feeds: Feeds, dataset: str, places: Places, up_to: int | None = None) -> Precedence:
    """Order the uploads that feed a dataset.

    Args:
        feeds: What they feed.
        dataset: The dataset.
        places: See `History.places`.
        up_to: Sequence of the last record that is heeded; None for all.

    Raises:
        ConfigError: As `Feeds.entries`.
    """
    shop = feeds.shop
    by_name = shop.all_datasets[dataset].key_by == "row"
    policies = [one.replaces for one in shop.files]
    if not by_name and set(policies) == {"rows"}:
        return Precedence(places=places, by=None)
    entries = feeds.entries(dataset)
    mine = np.flatnonzero(feeds.feeding(dataset) & (places >= 0))
    mine = mine[np.argsort(places[mine])]
    of_entry = entries[mine]
    of_file = np.array([by_name or one == "file" for one in policies], bool)
    of_all = np.array([one == "all" for one in policies], bool)
    later = replaced_by(
        names=feeds.names(up_to)[mine],
        entries=of_entry.astype(np.int64),
        by_name=of_file[of_entry],
        by_entry=of_all[of_entry],
    )
    by = np.full(len(places), -1, np.int64)
    by[mine] = np.where(later >= 0, mine[later], -1)
    return Precedence(places=places, by=by)
