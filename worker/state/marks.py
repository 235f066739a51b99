"""Marks: what places apart from the ledger have seen of it.

The clean zone and, in DynamoDB, each KPI table can be restored to an earlier time without the
ledger, and the ledger without them. A mark is kept in each of these places; see
`worker.state.same_ledger`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """What one place has seen.

    Attributes:
        begun: Ledger sequence of the last publication that began.
        whole: Ledger sequence of the last one that ended.
        ledger: Identifies the last records of the ledger up to `begun`.
    """

    begun: int = 0
    whole: int = 0
    ledger: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TableMarks:
    """The marks of KPI tables that lie apart from the ledger.

    Attributes:
        published: KPI table -> sequence that the ledger promises, read before the marks; empty
            before the first marks.
        tables: KPI table -> its mark; absent where it has none.
    """

    published: Mapping[str, int] = field(default_factory=dict)
    tables: Mapping[str, Mark] = field(default_factory=dict)


class KeptTogether:
    """Ledger and KPI tables that one transaction holds: nobody can restore them apart."""

    async def marks(self) -> TableMarks:
        return TableMarks()

    async def mark_again(self, ledger: str, as_of: int) -> None:
        """Do nothing: there are no marks."""

    async def delete_unguarded(self) -> int:
        return 0
