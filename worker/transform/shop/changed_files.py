"""Find the files of a shop whose rows count otherwise than at an earlier sequence."""

from __future__ import annotations

from dataclasses import dataclass, replace

from worker.transform.shop.precedence import Precedence
from worker.transform.shop.snapshot import ShopSnapshot, named, precedence


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
        snapshot, before = self.snapshot, self._before(dataset)
        now, feeds = snapshot.precedence[dataset], snapshot.feeds
        changed = {one for one in snapshot.uploads.changed_since(self.since) if one in feeds}
        found = {one for one in changed if dataset in feeds[one]}
        found |= {
            one
            for one in {*now.places, *before.places}
            if now.replacer(one) != before.replacer(one)
        }
        ceased = {
            one
            for one in snapshot.uploads.ceased_since(self.since)
            if dataset in feeds.get(one, {})
        }
        names = {feeds[one][dataset].name for one in ceased}
        entries = {
            feeds[one][dataset].entry for one in ceased if feeds[one][dataset].replaces == "all"
        }
        if ceased:
            found |= {
                one
                for one, of_source in feeds.items()
                if dataset in of_source
                and (of_source[dataset].name in names or of_source[dataset].entry in entries)
            }
        return found

    def earlier(self) -> ShopSnapshot:
        """Return the snapshot with the files that counted at the sequence."""
        snapshot = self.snapshot
        earlier = {name: self._before(name) for name in snapshot.catalogs}
        return replace(
            snapshot,
            precedence=earlier,
            catalogs={
                name: catalog.with_uncounted().of_sources(earlier[name].places.keys())
                for name, catalog in snapshot.catalogs.items()
            },
        )

    def _before(self, dataset: str) -> Precedence:
        uploads, feeds = self.snapshot.uploads, self.snapshot.feeds
        counted = {one.source_id: one for one in uploads.in_order(self.since)}
        ordered = {one: feeds[one] for one in counted if one in feeds}
        names = {one: uploads.name_of(counted[one].file, self.since) for one in ordered}
        then = named(ordered, names)
        return precedence(self.snapshot.shop, dataset, ordered, then)
