"""The guard of one day: which sequences wrote its rows. It keeps a day from going back in time.

It alone holds the sequences: rows whose values stay are not written again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from kpi.aggregation.tables import record_names
from worker.state import Outcome


def this_second() -> datetime:
    """Return when a day is published, for people; sequences decide what is later."""
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True, kw_only=True)
class Guard:
    """What is known of the writers of one order date.

    Attributes:
        version: Transactions that have changed the day so far; 0 where none has.
        claim: Sequence of the last writer; it never falls. Rows of the day may be of this
            sequence, and where `published` does not say so for their table, only some of them.
        published: KPI table, by `record_names` -> the sequence that its rows were last whole at.
        published_at: When a publication of the day ended last, to the second; None where a release
            that does not record it has published the day alone.
    """

    version: int = 0
    claim: int = 0
    published: Mapping[str, int] = field(default_factory=dict)
    published_at: datetime | None = None

    def verdict(self, tables: Collection[str], as_of: int) -> Outcome | None:
        """Decide what a writer of `tables` at `as_of` answers; None where it has to write."""
        if all(self.published.get(table, 0) > as_of for table in tables):
            return Outcome.SUPERSEDED
        if self.claim > as_of:
            return Outcome.CONTENDED
        return None

    def is_published(self, tables: Collection[str], as_of: int) -> bool:
        """Return whether exactly that state was published, and nothing was begun since."""
        return self.claim == as_of and all(self.published.get(table) == as_of for table in tables)

    def whole(self) -> dict[str, int]:
        """Return the tables whose rows are whole for certain, with their sequence.

        Where several transactions publish a day, a later writer may have changed rows of any other
        table, and died.
        """
        return {table: one for table, one in self.published.items() if one == self.claim}

    def as_of(self, table: str) -> int:
        """Return the sequence that the rows of a table have reached: all of them, at least.

        Where a writer of the claim has begun and not ended, some may be of the claim.
        """
        return self.published.get(table, self.claim)

    def next(self, as_of: int, published: Collection[str], at: datetime | None = None) -> Guard:
        """Return the guard after one more transaction.

        Args:
            as_of: Sequence of the writer.
            published: KPI tables that it completes.
            at: When it does; None where it completes none.
        """
        return Guard(
            version=self.version + 1,
            claim=as_of,
            published={**self.published, **dict.fromkeys(record_names(published), as_of)},
            published_at=at if published and at is not None else self.published_at,
        )
