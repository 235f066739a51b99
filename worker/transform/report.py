"""What a transform did."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from worker.state.upload import Notice
from worker.transform.rollbacks import Rollback
from worker.transform.takeovers import Takeover


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a transform did.

    Attributes:
        as_of: Ledger sequence that was computed from.
        days: Order dates published, ascending.
        rows: KPI table -> rows published.
        waiting: source_id -> items whose order has not arrived.
        notes: What a reader of the KPIs should know -> how often: `joined`, where another transform
            was waited for, which published; `rolled_back_rows`, those of `rollbacks`. By a contract
            of language 2 `provisional_days`, of which something has not come or was not said,
            `orders_of_a_later_file` whose lines took the place of those of a file of another name,
            and `moved_orders`, which such a file has on another day.
        notices: What new uploads have in common with earlier ones.
        rollbacks: New uploads whose rows replace newer rows of other files.
        takeovers: New uploads whose orders seem to be those of another shop.
        clean_bytes: Bytes in the clean zone at that sequence.
        clean_bytes_read: Bytes of it that were read.
        seconds: Wall time.
    """

    as_of: int
    days: tuple[date, ...] = ()
    rows: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()
    rollbacks: tuple[Rollback, ...] = ()
    takeovers: tuple[Takeover, ...] = ()
    clean_bytes: int = 0
    clean_bytes_read: int = 0
    seconds: float = 0.0
