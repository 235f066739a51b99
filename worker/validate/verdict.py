"""The verdict on a source object: accepted, or refused as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from kpi.contract.model import Contract
from kpi.errors import BalanceError
from worker.state import Entry


class Unreadable(Exception):  # noqa: N818  (a verdict in the making)
    """The object's bytes are not what they pretend to be; the message says what came."""


def balanced(entry: Entry) -> Entry:
    """The entry, if every row of it is clean or rejected.

    Errors: `BalanceError` otherwise.
    """
    if entry.rows_read != entry.rows_clean + entry.rows_rejected:
        raise BalanceError(
            f"{entry.url}: {entry.rows_read} rows read, but {entry.rows_clean} clean and "
            f"{entry.rows_rejected} rejected"
        )
    return entry


def refuse(entry: Entry, reason: str) -> Entry:
    """The entry of an object refused as a whole: every row of it counts as rejected."""
    return replace(
        entry,
        verdict="refused",
        reason=reason,
        rows_clean=0,
        rows_rejected=entry.rows_read,
        parts=(),
    )


def too_many_rejects(
    contract: Contract, rows: int, rejected: int, reasons: Mapping[str, int]
) -> str | None:
    """Why so many rejects refuse an object; None where the contract allows them."""
    allowed = contract.max_reject_rate
    # 0.29 * 100 is less than 29 in floating point: the rate counts as it is written.
    if rejected <= Decimal(str(allowed)) * rows:
        return None
    most = ", ".join(f"{reason} {count}" for reason, count in Counter(reasons).most_common(3))
    return (
        f"expected at most {allowed:.2%} rejects (limits.max_reject_rate), got "
        f"{rejected} of {rows} rows ({rejected / rows:.2%}): {most}"
    )


@dataclass
class Counts:
    """Rows of a source object so far; `reasons` counts each reason of a row that has several."""

    rows: int = 0
    clean: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
