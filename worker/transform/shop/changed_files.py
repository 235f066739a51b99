"""Find the files of a shop whose rows count otherwise than at an earlier sequence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow.compute as pc

from kpi.kernels.arrays import Mask
from kpi.kernels.masks import true
from worker.transform.history import Places, places_at
from worker.transform.shop.precedence import Precedence, precedence
from worker.transform.shop.snapshot import ShopSnapshot


@dataclass(frozen=True)
class ChangedFiles:
    """Files of a snapshot that began or ceased to count, or were replaced, since a sequence.

    Attributes:
        snapshot: The snapshot.
        since: Sequence.
    """

    snapshot: ShopSnapshot
    since: int

    def sources(self, dataset: str) -> set[str]:
        """Return the source objects of such files of a dataset; a superset, never a miss.

        States between may have been published: of a name of which an upload ceased to count, every
        file may have been replaced by another one for a while.
        """
        feeds, uploads = self.snapshot.feeds, self.snapshot.uploads
        feeding, now = feeds.feeding(dataset), self.snapshot.precedence[dataset]
        changed = feeding & feeds.among(uploads.changed_since(self.since))
        if now.by is None:
            return feeds.source_ids(changed)
        changed |= self._are_replaced_by_others(now, self._before(dataset))
        ceased = feeding & feeds.among(uploads.ceased_since(self.since))
        if ceased.any():
            names, entries = feeds.names(), feeds.entries(dataset)
            policies = [one.replaces for one in self.snapshot.shop.files]
            for_all = ceased & np.array([one == "all" for one in policies], bool)[entries]
            changed |= feeding & np.isin(names, names[ceased])
            changed |= feeding & np.isin(entries, entries[for_all])
        return feeds.source_ids(changed)

    def _are_replaced_by_others(self, now: Precedence, before: Precedence) -> Mask:
        """Return of which rows another source object replaced the upload than before."""
        by, by_before = now.by, before.by
        assert by is not None  # noqa: S101  (by the contract, as of any sequence)
        assert by_before is not None  # noqa: S101
        found: Mask = by != by_before
        # One that came again, after another verdict, is the same source object.
        both = np.flatnonzero(found & (by >= 0) & (by_before >= 0))
        sources = (self.snapshot.feeds.sources(one[both]) for one in (by, by_before))
        found[both] = true(pc.not_equal(*sources))
        return found

    def earlier(self) -> ShopSnapshot:
        """Return the snapshot with the files that counted at the sequence."""
        snapshot = self.snapshot
        return replace(
            snapshot,
            precedence={name: self._before(name) for name in snapshot.catalogs},
            catalogs={
                name: catalog.with_uncounted().of_uploads(self._counted_before)
                for name, catalog in snapshot.catalogs.items()
            },
        )

    @cached_property
    def _places_before(self) -> Places:
        return places_at(self.snapshot.history, self.since)

    @property
    def _counted_before(self) -> Mask:
        counted: Mask = self._places_before >= 0
        return counted

    def _before(self, dataset: str) -> Precedence:
        return precedence(self.snapshot.feeds, dataset, self._places_before, self.since)
