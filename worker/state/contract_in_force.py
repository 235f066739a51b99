"""Find the contract that is in force at a ledger sequence."""

from __future__ import annotations

from kpi.contract.loading import parse_contract
from kpi.contract.model import Contract
from worker.errors import StoreError
from worker.state import Adoption, Ledger


async def adoption_at(ledger: Ledger, sequence: int) -> Adoption | None:
    """Return the last adoption up to a sequence; None where there is none.

    Each adoption names the one that it replaces, so that few records are read.

    Raises:
        StoreError: The ledger cannot be read, or a record of it is missing.
    """
    adoption = await ledger.adoption()
    while adoption is not None and adoption.sequence > sequence:
        if not adoption.replaces:
            return None
        earlier = await ledger.records(after=adoption.replaces - 1, up_to=adoption.replaces)
        if len(earlier) != 1 or not isinstance(earlier[0], Adoption):
            raise StoreError(
                f"the ledger has no adoption at sequence {adoption.replaces}", retryable=False
            )
        adoption = earlier[0]
    return adoption


def adopted_contract(adoption: Adoption | None, default: Contract) -> Contract:
    """Parse the contract of an adoption; `default` before the first."""
    if adoption is None or adoption.digest == default.digest:
        return default
    return parse_contract(adoption.text, source="the contract in the ledger")
