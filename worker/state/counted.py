"""Decide from ledger records which uploads count, and in which order of precedence.

Everything that asks what counts asks here: transforms, audits, receipts, rulings. It is a pure
function of the records up to a sequence, and the order of their commits plays no part:

1. An upload is an accepted entry. Of several entries of one source object the last one stands.
2. Uploads of one name (URL and dataset) are taken in order of upload time. Neighbours of equal
   content are one *run*: `touch`, a restore from a backup and a redelivery add nothing. A file of
   a folder that was moved as a whole has one name with the file that it was there.
3. A run is retracted where the last ruling on any of its uploads is a retraction. So neither a
   `touch` nor another copy of a retracted file brings it back; restoring any of its uploads does.
4. Retracted runs are as if they had never come: neighbours that are equal then become one run.
5. An upload that another one continues was a copy half done, and is replaced by it.
6. Where a later file replaces the earlier one whole, only the last run of a name is left.
7. A run counts as its first upload: A, B, A ends at the second A, and A, A counts as the first.

Precedence is upload time; at equal times the natural order of names, in which `orders_9` comes
before `orders_10`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import pairwise

import numpy as np

from kpi.kernels.arrays import Mask
from worker.state.decision import Decision, Fate
from worker.state.earlier_uploads import (
    NO_EARLIER_UPLOADS,
    EarlierUploads,
    Sequences,
    items_among,
)
from worker.state.entry import Entry
from worker.state.moved_names import MovedNames
from worker.state.natural_order import in_precedence
from worker.state.records import Record, Ruling
from worker.state.upload import Name, Notice, Run, Upload, runs_of


class CountedUploads:
    """Collects ledger records; then says which uploads count.

    Uploads of which it is known already what counts are given as they are. Of these, only the names
    that records are about are decided on once more. The state before is then not asked for.
    """

    def __init__(
        self,
        replaces_file: Callable[[str], bool] = lambda _: False,
        earlier: EarlierUploads = NO_EARLIER_UPLOADS,
    ) -> None:
        """Prepare for records.

        Args:
            replaces_file: Whether a later file of a dataset replaces the earlier one of its name.
            earlier: The uploads up to a sequence, on which the records follow.
        """
        self._replaces_file = replaces_file
        self._earlier = earlier
        self._moved = MovedNames()
        self._uploads: dict[Name, list[Upload]] = defaultdict(list)
        self._files: dict[str, Name] = {}
        self._rulings: dict[str, list[Ruling]] = defaultdict(list)
        for ruling in earlier.rulings:
            self._rulings[ruling.source_id].append(ruling)
        for upload in earlier.moved():
            self._add_move(upload)

    def add(self, records: Iterable[Record]) -> None:
        """Add records, ascending by sequence; refused entries and adoptions are passed over."""
        uploads_and_rulings = [
            one if isinstance(one, Ruling) else Upload.of(one)
            for one in records
            if isinstance(one, Ruling) or (isinstance(one, Entry) and one.verdict == "accepted")
        ]
        self._fetch(uploads_and_rulings)
        for one in uploads_and_rulings:
            if isinstance(one, Ruling):
                self._rulings[one.source_id].append(one)
                continue
            if one.moved_from:
                self._join(one)
            self._uploads[self._moved.first(one.file)].append(one)
            self._files[one.source_id] = one.file

    def _fetch(self, about: Iterable[Upload | Ruling]) -> None:
        """Take the earlier uploads of all files that some records are about."""
        records = [*about] if self._earlier.up_to else []
        ruled = {one.source_id for one in records if isinstance(one, Ruling)}
        files = {one.file for one in self._earlier.of_sources(ruled)} if ruled else set()
        for one in records:
            if isinstance(one, Upload):
                files |= {one.file, one.former_file if one.moved_from else one.file}
        first = {self._moved.first(file) for file in files} - self._uploads.keys()
        moved = {one for one in self._moved.names() if self._moved.first(one) in first}
        fetched: dict[str, Name] = {}
        for upload in self._earlier.of_files(first | moved) if first else ():
            self._uploads[self._moved.first(upload.file)].append(upload)
            fetched[upload.source_id] = upload.file
        self._files = fetched | self._files

    def name_of(self, file: Name, up_to: int | None = None) -> str:
        """Return the URL by which the versions of a file are known: the first that it had.

        Args:
            file: `Upload.file`.
            up_to: Sequence of the last record that is heeded; None for all.
        """
        return self._moved.first(file, up_to)[0]

    def urls_of(self, file: Name) -> set[str]:
        """Return all URLs that a file has had, by which its versions are known."""
        first = self._moved.first(file)
        return {
            first[0],
            *(one[0] for one in self._moved.names() if self._moved.first(one) == first),
        }

    def _join(self, upload: Upload) -> None:
        """Make one series of the uploads of a file and of those where it was before."""
        before = self._moved.first(upload.file)
        self._add_move(upload)
        after = self._moved.first(upload.file)
        if before != after:
            joined = [*self._uploads.pop(before, []), *self._uploads.get(after, [])]
            self._uploads[after] = sorted(joined, key=lambda one: one.sequence)

    def _add_move(self, upload: Upload) -> None:
        self._moved.add(upload.sequence, upload.file, upload.former_file)

    def counts(self, sequences: Sequences, up_to: int | None = None) -> Mask:
        """Return which of some accepted entries count.

        Args:
            sequences: Their sequences, ascending.
            up_to: Sequence of the last record that is heeded; None for all.
        """
        found = self._earlier.counts(sequences)
        known = [upload.sequence for uploads in self._uploads.values() for upload in uploads]
        decided = [one for name in self._uploads for one in self._decide(name, up_to).counted]
        found[items_among(sequences, np.unique(np.array(known, np.int64)))] = False
        found[items_among(sequences, np.unique(np.array(decided, np.int64)))] = True
        return found

    def in_order(self, up_to: int | None = None) -> list[Upload]:
        """Return the uploads that count, from the earliest version to the latest: all, as objects.

        Args:
            up_to: Sequence of the last record that is heeded; None for all.
        """
        found = {one.sequence: one for uploads in self._uploads.values() for one in uploads}
        found |= {one.sequence: one for one in self._earlier.counted()}
        return in_precedence(self._of_counted(found, up_to))

    def _of_counted(self, of: dict[int, Upload], up_to: int | None = None) -> list[Upload]:
        """Select those that count of uploads by their sequences."""
        ascending = sorted(of)
        counts = self.counts(np.array(ascending, np.int64), up_to).tolist()
        return [of[sequence] for sequence, one in zip(ascending, counts, strict=True) if one]

    def fates(self, uploads: Iterable[Upload] = ()) -> dict[int, Fate]:
        """Return what becomes of the uploads of the names of some, and of records, by sequence."""
        self._fetch(uploads)
        return {
            sequence: fate
            for name in self._uploads
            for sequence, fate in self._decide(name).fates.items()
        }

    def runs(self, source_ids: Iterable[str]) -> list[Run]:
        """Return the runs of equal contents that some source objects belong to."""
        wanted = set(source_ids)
        names = dict.fromkeys(
            self._moved.first(self._files[one]) for one in wanted if one in self._files
        )
        return [
            run
            for name in names
            for run in self._decide(name).runs
            if any(upload.source_id in wanted for upload in run)
        ]

    def is_retracted(self, source_id: str) -> bool:
        """Return whether an upload, or one that is equal to it, is retracted."""
        return any(self._is_retracted(run) for run in self.runs([source_id]))

    def changed_since(self, sequence: int) -> set[str]:
        """Return the source objects that began or ceased to count after a sequence.

        One that began and ceased is among them: the state between may have been published.
        """
        return {upload.source_id for upload in self._changed(sequence)}

    def steps_since(self, sequence: int, dataset: str) -> list[list[frozenset[str]]]:
        """Return what counted of each name of a dataset that changed, as of a sequence and later.

        Returns:
            For each name the source objects that counted, at the sequence and after each later
            record about the name.
        """
        return [
            [frozenset(ids[one] for one in state) for state in self._states(name, sequence)]
            for name in self._touched(sequence)
            for ids in [{one.sequence: one.source_id for one in self._uploads[name]}]
            if name[1] == dataset
        ]

    def ceased_since(self, sequence: int) -> set[str]:
        """Return those of `changed_since` that ceased to count at least once, or came back."""
        arrived = {
            source_id
            for name in self._touched(sequence)
            for source_id in self._arrived(name, sequence)
        }
        return self.changed_since(sequence) - arrived

    def notices(self, after: int) -> list[Notice]:
        """Return what is to be reported of the uploads committed after a sequence."""
        found: list[Notice] = []
        for name, uploads in self._uploads.items():
            if uploads[-1].sequence > after:
                found += self._notices_of_name(name, after)
        found += self._copies(after)
        return found

    def with_predecessor(self, after: int) -> list[tuple[Upload, Upload]]:
        """Return the counted uploads committed after a sequence that files like them came before.

        Returns:
            Each of them, with the last version of its name before it that is not retracted; where
            there is none, with the first file of its bytes under another name.
        """
        found: list[tuple[Upload, Upload]] = []
        for name, uploads in self._uploads.items():
            if len(uploads) < 2 or uploads[-1].sequence <= after:
                continue
            fates = self._decide(name).fates
            versions = sorted(
                (one for one in uploads if fates.get(one.sequence) in ("counts", "replaced")),
                key=lambda one, dataset=name[1]: self._version(one, dataset),  # type: ignore[misc]
            )
            found += (
                (later, earlier)
                for earlier, later in pairwise(versions)
                if later.sequence > after and fates[later.sequence] == "counts"
            )
        of_name = {upload.sequence for upload, _ in found}
        copies = ((one.upload, one.other) for one in self._copies(after))
        return found + [pair for pair in copies if pair[0].sequence not in of_name]

    def _copies(self, after: int) -> Iterator[Notice]:
        """Yield the uploads committed after a sequence whose bytes another name has too."""
        contents = {
            upload.content
            for uploads in self._uploads.values()
            for upload in uploads
            if upload.sequence > after and upload.content is not None
        }
        if not contents:
            return
        same = {one.sequence: one for one in self._earlier.of_contents(contents)}
        same |= {
            upload.sequence: upload
            for uploads in self._uploads.values()
            for upload in uploads
            if upload.content in contents
        }
        first: dict[str, Upload] = {}
        for upload in in_precedence(self._of_counted(same)):
            other = first.setdefault(str(upload.content), upload)
            if upload.sequence > after and self.name_of(other.file) != self.name_of(upload.file):
                yield Notice(kind="copy", upload=upload, other=other)

    def _notices_of_name(self, name: Name, after: int) -> Iterator[Notice]:
        decision = self._decide(name)
        of_sequence = {upload.sequence: upload for upload in self._uploads[name]}
        earlier: Upload | None = None
        for sequence, fate in sorted(
            decision.fates.items(), key=lambda one: self._version(of_sequence[one[0]], name[1])
        ):
            upload = of_sequence[sequence]
            if earlier is not None and sequence > after:
                if fate == "same":
                    yield Notice(kind="same", upload=upload, other=earlier)
                elif fate == "counts" and (
                    self._replaces_file(name[1]) or upload.continues == earlier.source_id
                ):
                    yield Notice(kind="replaces", upload=upload, other=earlier)
            if fate in ("counts", "replaced"):
                earlier = upload

    def _touched(self, sequence: int) -> list[Name]:
        """Return the names that records after a sequence are about."""
        ruled = (
            self._moved.first(self._files[source_id])
            for source_id, rulings in self._rulings.items()
            if source_id in self._files and rulings[-1].sequence > sequence
        )
        new = (name for name, of_name in self._uploads.items() if of_name[-1].sequence > sequence)
        return list(dict.fromkeys([*ruled, *new]))

    def _changed(self, sequence: int) -> list[Upload]:
        changed: list[Upload] = []
        for name in self._touched(sequence):
            states = self._states(name, sequence)
            always = frozenset.intersection(*states)
            ever = frozenset.union(*states)
            changed += (one for one in self._uploads[name] if one.sequence in ever - always)
        return changed

    def _arrived(self, name: Name, sequence: int) -> set[str]:
        """Return the sources of a name that did not count, then came, and counted from then on."""
        states = self._states(name, sequence)
        arrived = set()
        for upload in self._uploads[name]:
            counts = [upload.sequence in state for state in states]
            if counts == sorted(counts) and upload.sequence > sequence:
                arrived.add(upload.source_id)
        return arrived

    def _states(self, name: Name, sequence: int) -> list[frozenset[int]]:
        """Return what counts of a name, as of a sequence and each later record about it."""
        later = {upload.sequence for upload in self._uploads[name]}
        later |= {
            ruling.sequence
            for upload in self._uploads[name]
            for ruling in self._rulings.get(upload.source_id, ())
        }
        steps = [sequence, *sorted(one for one in later if one > sequence)]
        return [self._decide(name, step).counted for step in steps]

    def _decide(self, name: Name, up_to: int | None = None) -> Decision:
        """Decide on the uploads of a name by the records up to a sequence; None for all."""
        last = {
            upload.source_id: upload
            for upload in self._uploads[name]
            if up_to is None or upload.sequence <= up_to
        }
        series: dict[Name, list[Upload]] = defaultdict(list)
        for upload in last.values():
            series[self._moved.first((upload.name, name[1]), up_to)].append(upload)
        decisions = [self._decide_series(name[1], one, up_to) for one in series.values()]
        if len(decisions) == 1:
            return decisions[0]
        return Decision(
            counted=frozenset().union(*(one.counted for one in decisions)),
            fates={key: fate for one in decisions for key, fate in one.fates.items()},
            runs=[run for one in decisions for run in one.runs],
        )

    def _decide_series(
        self, dataset: str, uploads: Iterable[Upload], up_to: int | None
    ) -> Decision:
        runs = runs_of(sorted(uploads, key=lambda one: self._version(one, dataset)))
        fates: dict[int, Fate] = {}
        kept: list[Upload] = []
        for run in runs:
            if self._is_retracted(run, up_to):
                fates |= {upload.sequence: "retracted" for upload in run}
            else:
                kept += run
        left = runs_of(kept)
        for run in left:
            fates |= {upload.sequence: "same" for upload in run}
            fates[run[0].sequence] = "counts"
        parts = {upload.continues for upload in kept}
        for run in left:
            if any(upload.source_id in parts for upload in run):
                fates[run[0].sequence] = "replaced"
        if self._replaces_file(dataset):
            for run in left[:-1]:
                fates[run[0].sequence] = "replaced"
        return Decision(
            counted=frozenset(one for one, fate in fates.items() if fate == "counts"),
            fates=fates,
            runs=runs,
        )

    def _version(self, upload: Upload, dataset: str) -> tuple[datetime, int, str]:
        """Return a sort key of the uploads of one name: the later one is the later version.

        Moving a folder keeps the times of its files.
        """
        moves = self._moved.moves((upload.name, dataset))
        return upload.uploaded_at, moves, upload.source_id

    def _is_retracted(self, run: Run, up_to: int | None = None) -> bool:
        rulings = [
            ruling
            for upload in run
            for ruling in self._rulings.get(upload.source_id, ())
            if up_to is None or ruling.sequence <= up_to
        ]
        last = max(rulings, key=lambda ruling: ruling.sequence, default=None)
        return last is not None and last.kind == "retraction"
