"""Ledger records of one source object: the receipt of its validation, and its effect.

The ledger holds an entry as a JSON object. Its members are these, beside `sequence`, which stores
keep apart as well:

| member | JSON type |
|---|---|
| `source_id`, `dataset`, `url`, `version`, `verdict`, `contract` | string |
| `uploaded_at` | string: an ISO 8601 instant with offset |
| `sha256`, `reason` | string or null |
| `content` | string: absent where unknown, as of 0.1.0 |
| `size_bytes`, `rows_read`, `rows_clean`, `rows_rejected`, `sequence` | integer |
| `seconds` | number |
| `reasons` | object: reject reason -> number of rows |
| `parts` | array of objects: `key`, `rows`, `size_bytes`, `ranges`, `ascending` |
| `rejects` | array of strings |
| `rows_before` | array of integers |

A contract of language 2 adds `feeds` (dataset -> `clean`, `rejected`, `passed_over`, `notes`), the
integer `rows_passed_over` where it is not 0, and to each part its `dataset`. A feed has the integer
`file_entry` where a header or a member of an archive decided which entry of `[[files]]` took it.

A staged entry has `staged`, which is true. One of a file that was first read half has `continues`,
the `source_id` of that part. One of a file of a folder that was moved has `moved_from`, its former
URL. One whose rows were made when customers had been erased has `erased`,
the sequence of the last erasure. One that was rewritten for an erasure has `staged`, `erasure`, its
id, and `rewrites`, the sequence of the entry whose objects it replaces.
One of which rejected rows were repaired has `repair`: an object
with `key`, `digest`, `rows` and `recorded_at`, an ISO 8601 instant with offset.

`ranges` of a part is an object: column -> `{"low": .., "high": ..}`. Its columns are those that
files are pruned by: the first column of the dataset's key, `order_id`, and `created_at`. An id of
type integer is a number, any other id a string. `created_at` is microseconds since 1970-01-01 UTC.
Of language 2 it is `_day`, days since 1970-01-01; entries of earlier releases have no ranges there.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any, Literal, get_args

import orjson

from worker.state.corruption import DAMAGE, damaged_record

Verdict = Literal["accepted", "refused"]

CONTENT_PART_BYTES = 8 * 2**20
"""Length of the parts that are hashed apart, so that byte ranges can be hashed by several tasks.

The content of one part is identified by its SHA-256 in hex, that of several by the SHA-256 of their
digests one after the other, `-`, and their number: S3's composite checksum of parts of this length.
"""

_COUNTS = ("size_bytes", "rows_read", "rows_clean", "rows_rejected")

_OMITTED_WHERE_EMPTY = (
    *("notes", "rows_passed_over", "feeds", "continues", "moved_from", "staged"),
    *("erased", "erasure", "rewrites", "repair"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """Closed interval of a column's values: integers or strings."""

    low: int | str
    high: int | str


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One clean file: the clean rows of a source object, or of one byte range of it.

    Attributes:
        key: Key below the workspace.
        rows: Clean rows in it.
        size_bytes: Its length.
        ranges: Pruning column -> interval of its values; see the module. A column is absent where
            the file's footer has no statistics of it.
        ascending: Whether the dataset's key is strictly increasing from row to row, so that no key
            is in it twice.
        dataset: Dataset of the rows, where the source object feeds several; else empty.
    """

    key: str
    rows: int
    size_bytes: int
    ranges: dict[str, Interval] = field(default_factory=dict)
    ascending: bool = False
    dataset: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedCounts:
    """Rows of a source object by what they are for one dataset that it feeds.

    Attributes:
        clean: Rows in the clean zone.
        rejected: Rows that broke the contract.
        passed_over: Rows that the contract's `only` leaves out.
        notes: What else happened to values -> number of times.
        file_entry: Number of the entry of `[[files]]` that took the rows, from 0; None where the
            path of the source object tells it.
    """

    clean: int
    rejected: int
    passed_over: int
    notes: dict[str, int] = field(default_factory=dict)
    file_entry: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Repair:
    """Rejected rows that a person has corrected.

    Attributes:
        key: Key of the corrections below the workspace.
        digest: `Corrections.digest` of them.
        rows: Rows of them that are rejected no more.
        recorded_at: When they were taken.
    """

    key: str
    digest: str
    rows: int
    recorded_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """The receipt of one source object.

    Attributes:
        source_id: 16 hex digits, from bucket, key and version.
        dataset: `orders`, `order_items` or `products`.
        url: Where the source object was read.
        version: Its version, as `ObjectInfo.version`.
        size_bytes: Its length as stored.
        uploaded_at: When it was uploaded; decides which version of a key wins.
        sha256: Of the bytes as stored. None where they have several parts and it was not asked for,
            or where they were not all read in one pass: byte ranges were validated apart, or the
            object was refused early.
        verdict: `accepted`, or `refused` as a whole.
        reason: Why it was refused; None where accepted.
        rows_read: Records found = rows_clean + rows_rejected + rows_passed_over.
        rows_clean: Rows in the clean zone; 0 where refused.
        rows_rejected: Rejected rows; all of them where refused.
        reasons: Reject reason -> rows with it (a row may have several).
        parts: Clean files, in the order of the source object's rows.
        rejects: Keys of the reject objects, in the order of the source object's rows.
        rows_before: For each reject object, the rows of earlier byte ranges, which its own row
            numbers do not count.
        contract: Digest of the contract that the rows were validated with.
        seconds: Wall time of the validation.
        rows_passed_over: Rows that are rows of no dataset.
        feeds: Dataset -> its rows.
        content: Identifies the bytes as stored; see `CONTENT_PART_BYTES`. None where unknown. In
            the manifest of a byte range: the digests of the parts that begin in it.
        sequence: Ledger sequence of its commit; 0 before the commit.
        notes: What validation passed over or changed -> how often, such as `gzip_padding_bytes`;
            absent from the text of an entry without any.
        continues: Source object of the same name that was a part of this one: all its bytes are the
            first ones here, and it ended within a line. Empty where there was none.
        moved_from: URL that the file had in the folder that its own was moved from, as a whole;
            empty where it was not.
        staged: Whether it was committed for a contract that was to be adopted, or for an erasure;
            see `worker.state.contract_in_force` and `worker.state.erasures`.
        erased: Sequence of the last erasure that its rows were made under; 0 for none.
        erasure: Erasure that it was rewritten for; empty for none.
        rewrites: Sequence of the entry whose objects it replaces; 0 for none.
        repair: Rows that are rejected no more since somebody corrected them; None for none.
    """

    source_id: str
    dataset: str
    url: str
    version: str
    size_bytes: int
    uploaded_at: datetime
    sha256: str | None
    verdict: Verdict
    reason: str | None
    rows_read: int
    rows_clean: int
    rows_rejected: int
    reasons: dict[str, int]
    parts: tuple[Part, ...]
    rejects: tuple[str, ...]
    contract: str
    seconds: float
    sequence: int = 0
    rows_before: tuple[int, ...] = ()
    notes: dict[str, int] = field(default_factory=dict)
    rows_passed_over: int = 0
    feeds: dict[str, FeedCounts] = field(default_factory=dict)
    content: str | None = None
    continues: str = ""
    moved_from: str = ""
    staged: bool = False
    erased: int = 0
    erasure: str = ""
    rewrites: int = 0
    repair: Repair | None = None

    def at(self, sequence: int) -> Entry:
        return replace(self, sequence=sequence)

    @property
    def rows_repaired(self) -> int:
        """Rejected rows that are rejected no more since somebody corrected them."""
        return 0 if self.repair is None else self.repair.rows

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of all of its objects, below the workspace."""
        corrections = () if self.repair is None else (self.repair.key,)
        return (*(part.key for part in self.parts), *self.rejects, *corrections)

    @property
    def happened_at(self) -> datetime:
        """When the file was uploaded, or its rejected rows were repaired."""
        return max(self.uploaded_at, self.repair.recorded_at) if self.repair else self.uploaded_at

    @property
    def content_id(self) -> str | None:
        """What identifies the bytes as stored; None where unknown."""
        if self.content is None and self.size_bytes <= CONTENT_PART_BYTES:
            return self.sha256
        return self.content

    def is_final(self, contract: str) -> bool:
        """Return whether the verdict stands under the contract of a digest."""
        return self.verdict == "accepted" or self.contract == contract

    def stands(self, contract: str, replaces: int) -> bool:
        """Return whether a later entry, under the contract of a digest, changes nothing.

        Args:
            contract: Digest of the contract of the later entry.
            replaces: Sequence of the entry that the later one is to replace; 0 for none.
        """
        return self.is_final(contract) and self.sequence != replaces

    def to_json(self) -> bytes:
        fields = asdict(self)
        for name in _OMITTED_WHERE_EMPTY:
            if not fields[name]:
                del fields[name]
        for part in fields["parts"]:
            if not part["dataset"]:
                del part["dataset"]
        if self.content is None:
            del fields["content"]
        return orjson.dumps(fields)

    @classmethod
    def from_json(cls, data: bytes | str) -> Entry:
        """Parse the text of `to_json`.

        Raises:
            StoreError: It is damaged.
        """
        try:
            fields: dict[str, Any] = orjson.loads(data)
            # Thousands of entries are held at once, with few distinct values of these.
            for name in ("dataset", "verdict", "contract"):
                fields[name] = sys.intern(fields[name])
            fields["uploaded_at"] = datetime.fromisoformat(fields["uploaded_at"]).astimezone(UTC)
            fields["parts"] = tuple(part_from_json(part) for part in fields["parts"])
            fields["rejects"] = tuple(fields["rejects"])
            fields["rows_before"] = tuple(fields.get("rows_before", ()))
            fields["feeds"] = {
                name: FeedCounts(**counts) for name, counts in fields.get("feeds", {}).items()
            }
            if "repair" in fields:
                of_repair = fields["repair"]
                at = datetime.fromisoformat(of_repair["recorded_at"]).astimezone(UTC)
                fields["repair"] = Repair(**{**of_repair, "recorded_at": at})
            if fields["verdict"] not in get_args(Verdict):
                raise ValueError(f"verdict {fields['verdict']!r}")
            for name in _COUNTS:
                if type(fields[name]) is not int:
                    raise TypeError(f"{name} {fields[name]!r}")
            return cls(**fields)
        except DAMAGE as error:
            raise damaged_record("an entry", data, error) from error


def staged_name(source_id: str, contract: str) -> str:
    """Name the staged entry of a source object under the contract of a digest, in stores."""
    return f"{source_id}-{contract}"


def stored_name(source_id: str, staged_for: str | None) -> str:
    """Name an entry in stores: the committed one, or the one staged for a contract's digest."""
    return source_id if staged_for is None else staged_name(source_id, staged_for)


def name_of_staged(entry: Entry) -> str:
    """Name a staged entry in stores: one for each contract, or for each rewritten entry."""
    if entry.erasure:
        return f"{erasure_prefix(entry.erasure)}{entry.rewrites:012d}"
    return staged_name(entry.source_id, entry.contract)


def erasure_prefix(erasure_id: str) -> str:
    """Return the beginning of the names of the entries that were rewritten for an erasure."""
    return f"erasure-{erasure_id}-"


def part_from_json(fields: dict[str, Any]) -> Part:
    """Build a part from the parsed JSON of `dataclasses.asdict(part)`; empties `fields`."""
    ranges = {column: Interval(**bounds) for column, bounds in fields.pop("ranges").items()}
    return Part(**fields, ranges=ranges)


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """What a source object changed, as of the first transform that included it.

    Attributes:
        as_of: Sequence of that transform.
        superseded_rows: Rows of it with a later version, in the same object or in a later upload.
        waiting_items: Items of it whose order had not arrived.
        days: Number of order dates that its latest rows count on.
        first_day: The earliest of them; None where there is none.
        last_day: The latest of them.
        taken_over_orders: Orders of it that were those of other customers on other days, where most
            of them were: it may be another shop's.
    """

    as_of: int
    superseded_rows: int = 0
    waiting_items: int = 0
    days: int = 0
    first_day: date | None = None
    last_day: date | None = None
    taken_over_orders: int = 0

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: bytes | str) -> Effect:
        """Parse the text of `to_json`.

        Raises:
            StoreError: It is damaged.
        """
        try:
            fields: dict[str, Any] = orjson.loads(data)
            for name in ("first_day", "last_day"):
                if fields[name] is not None:
                    fields[name] = date.fromisoformat(fields[name])
            return cls(**fields)
        except DAMAGE as error:
            raise damaged_record("an effect", data, error) from error
