"""What bringing sums up to date needs of a transform, whatever the language of its contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from kpi.aggregation.calendar import Days
from kpi.aggregation.sums import Added, Scheme, Sums
from worker.index.sums_manifest import SumsManifest
from worker.state import Row
from worker.state.contract_in_force import ContractInForce
from worker.transform.kept_sums import CustomersOf


class Summing(Protocol):
    """Makes sums of a contract, and rows of sums.

    Attributes:
        scheme: Which sums.
        customer_type: Type of the ids of customers; None where the contract has none.
    """

    @property
    def scheme(self) -> Scheme: ...

    @property
    def customer_type(self) -> pa.DataType | None: ...

    def order_ids(self) -> pa.Array | None:
        """Return the orders that may add something else; None where they are not known."""

    async def both_states(
        self, sequence: int, ids: pa.Array, customers_of: CustomersOf
    ) -> tuple[Added, Added]:
        """Return what some orders added at a sequence, and what they add at the head.

        Raises:
            KpiError: A sum does not fit 64 bits.
            ConfigError, SourceError: As `Catalog.row_groups`.
        """

    def rows(self, day: int, sums: Sums, customers: int) -> Mapping[str, list[Row]]:
        """Return the rows of a day by table.

        Raises:
            KpiError: A sum does not fit 64 bits.
        """


@dataclass(frozen=True, kw_only=True)
class SumsWork:
    """Sums that a transform uses and keeps.

    Attributes:
        found: Sums at the sequence that the tables have come to; None where none are kept.
        summing: Makes sums.
        head: The ledger's head.
        in_force: The contract there.
        every_day: Whether every day may have changed.
        changed: Days that may have changed; None for every day.
        vacated_days: More of them; orders may have left.
    """

    found: SumsManifest | None
    summing: Summing
    head: int
    in_force: ContractInForce
    every_day: bool
    changed: Days | None
    vacated_days: Days
