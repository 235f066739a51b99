"""What the ledger says of one source object: the receipt of its validation, and its effect."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any, Literal, get_args

import orjson

from worker.errors import StoreError
from worker.state.corruption import DAMAGE

Verdict = Literal["accepted", "refused"]

_COUNTS = ("size_bytes", "rows_read", "rows_clean", "rows_rejected")


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Smallest and largest value of a column; integers or strings."""

    low: int | str
    high: int | str


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One clean object: the clean rows of a source object, or of one byte range of it.

    Attributes:
        key: Key below the workspace.
        rows: Clean rows in it.
        size_bytes: Its length.
        ranges: Canonical column -> its range (ids and, for orders, `order_date` as ISO dates).
        ascending: True where the dataset's key rises strictly from row to row, so that no key
            stands twice in it.
    """

    key: str
    rows: int
    size_bytes: int
    ranges: dict[str, Range] = field(default_factory=dict)
    ascending: bool = False


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
        sha256: Of the bytes as stored; None where it was not asked for, or where not all of them
            were read in one go: byte ranges were validated apart, or the object was refused early.
        verdict: `accepted`, or `refused` as a whole.
        reason: Why it was refused; None where accepted.
        rows_read: Records found = rows_clean + rows_rejected.
        rows_clean: Rows in the clean zone; 0 where refused.
        rows_rejected: Rows set aside; all of them where refused.
        reasons: Reject reason -> rows that have it (a row may have several).
        parts: Clean objects, in the order of the source object's rows.
        rejects: Keys of the reject objects, in the order of the source object's rows.
        rows_before: For each reject object, the rows of the source object that its own row numbers
            do not count: those of earlier byte ranges.
        contract: Digest of the contract that the rows were held against.
        seconds: Wall time of the validation.
        sequence: The number its commit took; 0 before the commit.
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

    def at(self, sequence: int) -> Entry:
        return replace(self, sequence=sequence)

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: bytes | str) -> Entry:
        """The entry that `to_json` was asked of. Errors: `StoreError` where it is damaged."""
        try:
            fields: dict[str, Any] = orjson.loads(data)
            # Thousands of entries are held at once, and few of them differ in these.
            for name in ("dataset", "verdict", "contract"):
                fields[name] = sys.intern(fields[name])
            fields["uploaded_at"] = datetime.fromisoformat(fields["uploaded_at"]).astimezone(UTC)
            fields["parts"] = tuple(part_from_json(part) for part in fields["parts"])
            fields["rejects"] = tuple(fields["rejects"])
            fields["rows_before"] = tuple(fields.get("rows_before", ()))
            if fields["verdict"] not in get_args(Verdict):
                raise ValueError(f"verdict {fields['verdict']!r}")
            for name in _COUNTS:
                if type(fields[name]) is not int:
                    raise TypeError(f"{name} {fields[name]!r}")
            return cls(**fields)
        except DAMAGE as error:
            raise _damaged("an entry", data, error) from error


def part_from_json(fields: dict[str, Any]) -> Part:
    """A part from the parsed JSON of `dataclasses.asdict(part)`; `fields` is used up."""
    ranges = {column: Range(**limits) for column, limits in fields.pop("ranges").items()}
    return Part(**fields, ranges=ranges)


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """What a source object changed, as of the first transform that included it.

    Attributes:
        as_of: Sequence of that transform.
        superseded_rows: Rows of it that gave way to a later row of the same key, be it in the same
            object or in a later upload.
        waiting_items: Items of it whose order had not arrived.
        days: Number of order dates that its latest rows count on.
        first_day: The earliest of them; None where there is none.
        last_day: The latest of them.
    """

    as_of: int
    superseded_rows: int = 0
    waiting_items: int = 0
    days: int = 0
    first_day: date | None = None
    last_day: date | None = None

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: bytes | str) -> Effect:
        """The effect that `to_json` was asked of. Errors: `StoreError` where it is damaged."""
        try:
            fields: dict[str, Any] = orjson.loads(data)
            for name in ("first_day", "last_day"):
                if fields[name] is not None:
                    fields[name] = date.fromisoformat(fields[name])
            return cls(**fields)
        except DAMAGE as error:
            raise _damaged("an effect", data, error) from error


def _damaged(what: str, data: bytes | str, error: Exception) -> StoreError:
    """An error that names the source object where its name can still be read."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else str(data)
    named = next(
        (
            found
            for name in ("url", "source_id")
            if (found := re.search(rf'"{name}":"([^"\x00-\x1f]+)"', text))
        ),
        None,
    )
    whose = f" of {named[1]}" if named else f" that begins with {text[:40]!r}"
    return StoreError(
        f"the ledger: {what}{whose}: expected JSON as it was written, got {len(text)} characters "
        f"that are damaged ({type(error).__name__}: {error})"
    )
