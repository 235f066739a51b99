"""Find the files of a shop whose rows count otherwise than at an earlier sequence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from kpi.kernels.arrays import Int64s, Mask
from worker.transform.history import places_of
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
        changed |= _replacers(now, feeds.sources) != _replacers(
            self._before(dataset), feeds.sources
        )
        ceased = feeding & feeds.among(uploads.ceased_since(self.since))
        if ceased.any():
            names, entries = feeds.names(), feeds.entries(dataset)
            policies = [one.replaces for one in self.snapshot.shop.files]
            for_all = ceased & np.array([one == "all" for one in policies], bool)[entries]
            changed |= feeding & np.isin(names, names[ceased])
            changed |= feeding & np.isin(entries, entries[for_all])
        return feeds.source_ids(changed)

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
    def _places_before(self) -> Int64s:
        history = self.snapshot.history
        return places_of(history.rows, history.uploads.counted(self.since))

    @property
    def _counted_before(self) -> Mask:
        counted: Mask = self._places_before >= 0
        return counted

    def _before(self, dataset: str) -> Precedence:
        return precedence(self.snapshot.feeds, dataset, self._places_before, self.since)


def _replacers(of: Precedence, sources: Int64s) -> Int64s:
    """Return the source object that replaced the upload of each row; -1 for none."""
    assert of.by is not None  # noqa: S101  (by the contract, as of any sequence)
    return np.where(of.by >= 0, sources[of.by], -1)
