"""Find the contract that is in force at a ledger sequence, and the entries whose rows it reads.

Clean rows are made by a contract. Before a contract that makes other clean rows comes into force,
every source object is validated by it, and the entries are *staged*: committed, but without effect.
Its adoption, one record, then changes which entries count: those whose clean rows are the rows that
the contract in force would make. So the KPIs at a sequence are of one contract alone, whatever
order workers commit in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kpi.contract.differences import same_clean_rows, same_kpis
from kpi.contract.loading import parse_contract
from kpi.contract.model import Contract
from worker.errors import StoreError
from worker.state import Adoption, Entry, Ledger, Record
from worker.state.erasures import NO_ERASURES, Erasures, read_erasures


@dataclass(frozen=True, kw_only=True)
class ContractInForce:
    """A contract, and the entries whose clean rows it reads.

    Attributes:
        contract: The contract.
        same_rows: Digests of the adopted contracts that make the same clean rows, its own included.
        other_rows: Digests of the adopted contracts that make other clean rows.
        first: Sequence of the ledger's first adoption; 0 where there is none.
        serves_first: Whether the first adopted contract makes the same clean rows.
        since: Sequence of the adoption since which every contract in force made the same clean
            rows; 0 where there is none.
        erasures: Customers erased, and the entries that were rewritten for them.
        stands_for: Digest of an adopted contract -> that of the first one with the same KPIs, where
            it is another: what derives from the clean rows of one is right for the other.
    """

    contract: Contract
    same_rows: frozenset[str] = frozenset()
    other_rows: frozenset[str] = frozenset()
    first: int = 0
    serves_first: bool = True
    since: int = 0
    erasures: Erasures = NO_ERASURES
    stands_for: Mapping[str, str] = field(default_factory=dict)

    def serves(self, entry: Entry) -> bool:
        """Return whether the clean rows and rejects of an entry are of this contract.

        Entries before the first adoption, of release 0.1.0, may be of contracts that the ledger
        does not have: they are taken for those of the first one that it has.
        """
        if entry.erasure:
            return False  # it has no place of its own: see `worker.state.erasures`
        if entry.contract in self.same_rows:
            return True
        if entry.contract in self.other_rows or entry.staged:
            return False
        return self.serves_first if entry.sequence < self.first else not self.first

    def select(self, records: Iterable[Record]) -> list[Record]:
        """Leave out the entries whose rows are of contracts that make other clean rows.

        Entries that were rewritten for an erasure take the places of the others.
        """
        found = self.erasures.select(records)
        return [one for one in found if not isinstance(one, Entry) or self.serves(one)]

    def is_final(self, entry: Entry) -> bool:
        """Return whether the verdict of an entry stands under this contract."""
        return entry.is_final(self.contract.digest) and (
            entry.verdict == "refused" or self.serves(entry)
        )

    async def find(self, ledger: Ledger, source_id: str) -> Entry | None:
        """Return the entry of a source object that stands under this contract, else the last.

        Raises:
            StoreError: The ledger cannot be read, after retries.
        """
        entry = await ledger.find(source_id)
        if entry is None:
            return None
        if self.other_rows and not self.is_final(entry):
            for digest in sorted(self.same_rows, key=lambda one: one != self.contract.digest):
                staged = await ledger.find_staged(source_id, digest)
                if staged is not None:
                    return self.erasures.effective(staged)
        return self.erasures.effective(entry)


async def adoption_at(ledger: Ledger, sequence: int) -> Adoption | None:
    """Return the last adoption up to a sequence; None where there is none.

    Each adoption names the one that it replaces, so that few records are read.

    Raises:
        StoreError: The ledger cannot be read, or a record of it is missing.
    """
    adoption = await ledger.adoption()
    while adoption is not None and adoption.sequence > sequence:
        adoption = await _replaced(ledger, adoption)
    return adoption


async def contract_at(ledger: Ledger, sequence: int, default: Contract) -> ContractInForce:
    """Return the contract in force at a sequence; `default` before the first adoption.

    Raises:
        StoreError: The ledger cannot be read, or a record of it is missing.
    """
    return await contract_of(ledger, await adoption_at(ledger, sequence), default)


async def contract_of(
    ledger: Ledger, adoption: Adoption | None, default: Contract
) -> ContractInForce:
    """Return the contract of an adoption, and how earlier ones compare; `default` without one.

    Raises:
        StoreError: The ledger cannot be read, or a record of it is missing.
    """
    contract = adopted_contract(adoption, default)
    serves, contracts = {contract.digest: True}, {contract.digest: contract}
    first = adoption
    since, is_unbroken = 0, True
    while first is not None:
        if first.digest not in serves:
            former = parse_contract(first.text, source="an earlier contract in the ledger")
            serves[first.digest] = same_clean_rows(former, contract)
            contracts[first.digest] = former
        contracts[first.digest] = contracts.pop(first.digest)  # where it was adopted first
        is_unbroken = is_unbroken and serves[first.digest]
        since = first.sequence if is_unbroken else since
        earlier = await _replaced(ledger, first)
        if earlier is None:
            break
        first = earlier
    return ContractInForce(
        contract=contract,
        same_rows=frozenset(digest for digest, same in serves.items() if same),
        other_rows=frozenset(digest for digest, same in serves.items() if not same),
        first=0 if first is None else first.sequence,
        serves_first=first is None or serves[first.digest],
        since=since,
        erasures=await read_erasures(ledger),
        stands_for=_first_of_same_kpis(contracts),
    )


def _first_of_same_kpis(contracts: Mapping[str, Contract]) -> dict[str, str]:
    """Map contracts to the first one with the same KPIs, where it is another.

    Args:
        contracts: Digest -> contract, the last adopted first.
    """
    found: dict[str, str] = {}
    firsts: list[Contract] = []
    for digest, contract in reversed([*contracts.items()]):
        first = next((one for one in firsts if same_kpis(one, contract)), None)
        if first is None:
            firsts.append(contract)
        else:
            found[digest] = first.digest
    return found


async def _replaced(ledger: Ledger, adoption: Adoption) -> Adoption | None:
    """Return the adoption that another one replaced; None where it was the first."""
    if not adoption.replaces:
        return None
    earlier = await ledger.records(after=adoption.replaces - 1, up_to=adoption.replaces)
    if len(earlier) != 1 or not isinstance(earlier[0], Adoption):
        raise StoreError(
            f"the ledger has no adoption at sequence {adoption.replaces}", retryable=False
        )
    return earlier[0]


def adopted_contract(adoption: Adoption | None, default: Contract) -> Contract:
    """Parse the contract of an adoption; `default` before the first."""
    if adoption is None or adoption.digest == default.digest:
        return default
    return parse_contract(adoption.text, source="the contract in the ledger")
