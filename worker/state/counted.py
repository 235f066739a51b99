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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Literal

from worker.state.entry import Entry
from worker.state.moved_names import MovedNames, Name
from worker.state.natural_order import in_natural_order
from worker.state.records import Record, Ruling
from worker.state.upload import Notice, Upload

Fate = Literal["counts", "same", "replaced", "retracted"]
"""What becomes of an upload: it counts; it equals the one before it of its name; a later file of
its name replaces it whole; it is retracted."""


Run = list[Upload]
"""Uploads of one name and equal content that follow on each other, from the first to the last."""


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


class CountedUploads:
    """Collects ledger records; then says which uploads count."""

    def __init__(self, replaces_file: Callable[[str], bool] = lambda _: False) -> None:
        """Prepare for records.

        Args:
            replaces_file: Whether a later file of a dataset replaces the earlier one of its name.
        """
        self._replaces_file = replaces_file
        self._moved = MovedNames()
        self._uploads: dict[Name, list[Upload]] = defaultdict(list)
        self._names: dict[str, Name] = {}
        self._rulings: dict[str, list[Ruling]] = defaultdict(list)

    def add(self, records: Iterable[Record]) -> None:
        """Add records, ascending by sequence; refused entries and adoptions are passed over."""
        for record in records:
            if isinstance(record, Ruling):
                self._rulings[record.source_id].append(record)
            elif isinstance(record, Entry) and record.verdict == "accepted":
                # Of language 2, the header of a version says what it feeds.
                name = record.url, "" if record.feeds else record.dataset
                if record.moved_from:
                    self._join(record.sequence, name, (record.moved_from, name[1]))
                self._uploads[self._moved.first(name)].append(_upload(record))
                self._names[record.source_id] = name

    def name_of(self, upload: Upload | Entry) -> str:
        """Return the URL by which versions of a file are known: the first that it had."""
        return self.name_of_source(upload.source_id)

    def name_of_source(self, source_id: str, up_to: int | None = None) -> str:
        """Return the same of a source object, by the records up to a sequence; None for all."""
        return self._moved.first(self._names[source_id], up_to)[0]

    def _join(self, sequence: int, name: Name, former: Name) -> None:
        """Make one series of the uploads of a file and of those where it was before."""
        before = self._moved.first(name)
        self._moved.add(sequence, name, former)
        after = self._moved.first(name)
        if before != after:
            joined = [*self._uploads.pop(before, []), *self._uploads.get(after, [])]
            self._uploads[after] = sorted(joined, key=lambda upload: upload.sequence)

    def in_order(self, up_to: int | None = None) -> list[Upload]:
        """Return the uploads that count, from the earliest version to the latest.

        Args:
            up_to: Sequence of the last record that is heeded; None for all.
        """
        counted: list[Upload] = []
        for name, uploads in self._uploads.items():
            chosen = self._decide(name, up_to).counted
            counted += (upload for upload in uploads if upload.sequence in chosen)
        counted.sort(key=lambda upload: upload.uploaded_at)
        return in_natural_order(counted)

    def fates(self) -> dict[int, Fate]:
        """Return what becomes of each accepted entry, by its sequence."""
        return {
            sequence: fate
            for name in self._uploads
            for sequence, fate in self._decide(name).fates.items()
        }

    def runs(self, source_ids: Iterable[str]) -> list[Run]:
        """Return the runs of equal contents that some source objects belong to."""
        wanted = set(source_ids)
        names = dict.fromkeys(
            self._moved.first(self._names[one]) for one in wanted if one in self._names
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
        new = {
            upload.content
            for uploads in self._uploads.values()
            for upload in uploads
            if upload.sequence > after and upload.content is not None
        }
        first: dict[str, Upload] = {}
        for upload in self.in_order() if new else ():
            if upload.content is None or upload.content not in new:
                continue
            other = first.setdefault(upload.content, upload)
            if upload.sequence > after and self.name_of(other) != self.name_of(upload):
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
            self._moved.first(self._names[source_id])
            for source_id, rulings in self._rulings.items()
            if source_id in self._names and rulings[-1].sequence > sequence
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
        runs = _runs(sorted(uploads, key=lambda one: self._version(one, dataset)))
        fates: dict[int, Fate] = {}
        kept: list[Upload] = []
        for run in runs:
            if self._is_retracted(run, up_to):
                fates |= {upload.sequence: "retracted" for upload in run}
            else:
                kept += run
        left = _runs(kept)
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


def _upload(entry: Entry) -> Upload:
    return Upload(
        sequence=entry.sequence,
        source_id=entry.source_id,
        name=entry.url,
        dataset=entry.dataset,
        uploaded_at=entry.uploaded_at,
        content=entry.content_id,
        continues=entry.continues,
        moved_from=entry.moved_from,
    )


def _runs(uploads: Iterable[Upload]) -> list[Run]:
    runs: list[Run] = []
    for upload in uploads:
        if runs and upload.has_content_of(runs[-1][-1]):
            runs[-1].append(upload)
        else:
            runs.append([upload])
    return runs
