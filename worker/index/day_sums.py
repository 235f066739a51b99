"""Sums of days that have many orders, so that a few more need not read the others.

As the key index and the checkpoint, they are never needed: where there are none, or none that fit,
a day is computed of all of its orders.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import orjson

from kpi.aggregation.sums import Customer, Scheme, Sums, storable_keys
from kpi.index.pointers import POINTER
from kpi.kernels.keys import Keys
from worker.clean import Workspace
from worker.errors import DamagedObject
from worker.index.checkpoint import identify_contract
from worker.index.manifest import Run, Section
from worker.index.run_object import RunReader, encode_parts
from worker.index.stored import read_manifest
from worker.index.sums_manifest import Page, SumsManifest
from worker.objects import open_range
from worker.state import Ledger
from worker.state.contract_in_force import ContractInForce
from worker.state.same_ledger import identify_ledger

MANIFEST_NAME = "sums.json"
"""Name of the manifest in the folder of the index."""

CUSTOMERS = "customers"
"""Table of a run with the customers of a day: one pointer an order, of both halves of the key."""

MOST_CHANGED = 8_192
"""Customers of a day whose number of orders changed since its run was written: 220 KB that each
transform writes again. With more, the day is computed of all of its orders, and gets a new run."""

MOST_GROUPS = 100_000
"""Groups of a day up to which its sums are kept: some 4 MB that each transform writes again."""

WRITE_BYTES = 8 << 20
"""Bytes of a run that are written at once."""

_CHANGE = np.dtype([("high", "<u8"), ("low", "<u8"), ("orders", "<i4")])


@dataclass(frozen=True, kw_only=True)
class StoredSums:
    """Sums of a period, and its customers.

    Attributes:
        sums: The sums.
        customers: Number of distinct customers.
        run: Customers of its orders, as of a sequence.
        changed: Customer -> orders that were added since.
    """

    sums: Sums
    customers: int
    run: Run
    changed: Mapping[Customer, int] = field(default_factory=dict)

    def to_json(self, scheme: Scheme) -> bytes:
        """Write the sums of a scheme."""
        changes = np.array([(*key, count) for key, count in sorted(self.changed.items())], _CHANGE)
        return orjson.dumps(
            {
                "measures": _measures(scheme),
                "sums": self.sums.values,
                "groups": self.sums.groups,
                "customers": self.customers,
                "run": asdict(self.run),
                "changed": base64.b64encode(changes.tobytes()).decode(),
            }
        )

    @classmethod
    def from_json(cls, data: bytes, scheme: Scheme) -> StoredSums | None:
        """Parse the text of `to_json`, whose bytes have been checked.

        Returns:
            None where they are the sums of another scheme.
        """
        fields: dict[str, Any] = orjson.loads(data)
        if fields["measures"] != _measures(scheme):
            return None
        groups = {
            grouping: {name: tuple(values) for name, values in some.items()}
            for grouping, some in fields["groups"].items()
        }
        sections = {name: Section(**one) for name, one in fields["run"].pop("sections").items()}
        changes = np.frombuffer(base64.b64decode(fields["changed"]), _CHANGE)
        return cls(
            sums=Sums(tuple(fields["sums"]), groups),
            customers=fields["customers"],
            run=Run(**fields["run"], sections=sections),
            changed={(high, low): count for high, low, count in changes.tolist()},
        )


def _measures(scheme: Scheme) -> dict[str, list[str]]:
    """Name the measures of a scheme: those of a page must be the same."""
    of_groups = {one.name: [each.name for each in one.measures] for one in scheme.groupings}
    return {"": [one.name for one in scheme.measures], **of_groups}


async def open_sums(
    workspace: Workspace, ledger: Ledger, in_force: ContractInForce, up_to: int | None
) -> SumsManifest:
    """Read the manifest of the sums; one without pages where they are not those of a sequence.

    Args:
        workspace: Where they are.
        ledger: Its ledger.
        in_force: The contract, of which they must be.
        up_to: Ledger sequence; None to begin anew.

    Raises:
        StoreError: A store fails after retries.
    """
    found = await _read_manifest(workspace)
    fits = (
        up_to is not None
        and found.pages
        and found.up_to == up_to
        and found.contract == identify_contract(in_force)
        and found.ledger == await identify_ledger(ledger, up_to)
    )
    return found if fits else _without_pages(found)


def _without_pages(found: SumsManifest) -> SumsManifest:
    return SumsManifest(retired=(*found.retired, *sorted(found.names)))


async def read_page(workspace: Workspace, page: Page, scheme: Scheme) -> StoredSums | None:
    """Read the sums of a period; None where they are of another scheme.

    Raises:
        SourceError: They are missing, or their bytes are not those that were written.
        StoreError: The store fails after retries.
    """
    store, key = workspace.store, workspace.absolute(workspace.index(page.name))
    _, data = await open_range(store, key, 0, page.size_bytes)
    if zlib.crc32(data) != page.crc:
        raise DamagedObject(
            url=key,
            expected=f"the bytes of CRC-32 {page.crc:08x} that were written",
            actual=f"CRC-32 {zlib.crc32(data):08x}",
        )
    return StoredSums.from_json(data, scheme)


async def count_orders(
    workspace: Workspace, stored: StoredSums, customers: Iterable[Customer]
) -> dict[Customer, int]:
    """Return the number of orders that each of some customers has.

    Raises:
        SourceError: The run is missing, or its bytes are not those that were written.
        StoreError: The store fails after retries.
    """
    wanted = set(customers)
    found = {one: stored.changed.get(one, 0) for one in wanted}
    key = workspace.absolute(workspace.index(stored.run.name))
    highs = np.array(sorted({high for high, _ in wanted}), np.uint64)
    of_low = {low: (high, low) for high, low in wanted}
    for low in (await RunReader(workspace.store, key, stored.run).find(CUSTOMERS, highs)).tolist():
        if low in of_low:
            found[of_low[low]] += 1
    return found


async def write_customers(workspace: Workspace, keys: Keys) -> Run:
    """Write the customers of the orders of a period.

    Raises:
        StoreError: The store fails after retries.
    """
    parts, sections = await asyncio.to_thread(_encode_customers, keys)
    digest, crc = hashlib.sha256(), 0
    for part in parts:
        digest.update(part)
        crc = zlib.crc32(part, crc)
    name = f"{digest.hexdigest()[:32]}.run"
    async with workspace.store.create(workspace.absolute(workspace.index(name))) as writer:
        for part in parts:
            for start in range(0, len(part), WRITE_BYTES):
                await writer.write(part[start : start + WRITE_BYTES])
    return Run(name=name, size_bytes=sum(map(len, parts)), crc=crc, sections=sections)


def _encode_customers(keys: Keys) -> tuple[list[memoryview], dict[str, Section]]:
    """Encode the keys, which may be those of a day of millions: few copies are made."""
    stored = storable_keys(keys)
    low = stored.high if stored.low is None else stored.low
    pointers = np.empty(len(keys), POINTER)
    if keys.low is None:
        pointers["key"] = np.sort(stored.high)
        pointers["place"] = pointers["key"]
    else:
        order = np.argsort(stored.high)
        pointers["key"], pointers["place"] = stored.high[order], low[order]
    return encode_parts({CUSTOMERS: pointers})


async def write_page(workspace: Workspace, stored: StoredSums, scheme: Scheme) -> Page:
    """Write the sums of a period.

    Raises:
        StoreError: The store fails after retries.
    """
    data = stored.to_json(scheme)
    name = f"{hashlib.sha256(data).hexdigest()[:32]}.sums"
    async with workspace.store.create(workspace.absolute(workspace.index(name))) as writer:
        await writer.write(data)
    return Page(name=name, size_bytes=len(data), crc=zlib.crc32(data), customers=stored.run.name)


async def write_sums(
    workspace: Workspace,
    ledger: Ledger,
    in_force: ContractInForce,
    *,
    before: SumsManifest,
    pages: Mapping[int, Page],
    up_to: int,
) -> None:
    """Replace the manifest of the sums, unless another writer has written a later one.

    Args:
        workspace: Where they are.
        ledger: Its ledger.
        in_force: The contract at `up_to`.
        before: The manifest as it was opened.
        pages: All periods that have sums.
        up_to: Ledger sequence.

    Raises:
        StoreError: A store fails after retries.
    """
    present = await _read_manifest(workspace)
    ledger_id = await identify_ledger(ledger, up_to)
    if present.up_to > up_to and present.ledger == await identify_ledger(ledger, present.up_to):
        return
    names = {name for page in pages.values() for name in (page.name, page.customers)}
    gone = {*before.names, *present.names} - names
    found = SumsManifest(
        up_to=up_to,
        ledger=ledger_id,
        contract=identify_contract(in_force),
        pages=pages,
        retired=tuple(sorted(gone)),
    )
    async with workspace.store.create(workspace.absolute(workspace.index(MANIFEST_NAME))) as writer:
        await writer.write(found.to_json())
    for name in sorted({*before.retired, *present.retired} - names - gone):
        await workspace.store.delete(workspace.absolute(workspace.index(name)))


async def drop_sums(workspace: Workspace) -> None:
    """Delete all sums: their runs hold ids of customers, of whom one was erased.

    Raises:
        StoreError: The store fails after retries.
    """
    found = await _read_manifest(workspace)
    for name in (MANIFEST_NAME, *sorted(found.names), *found.retired):
        await workspace.store.delete(workspace.absolute(workspace.index(name)))


async def _read_manifest(workspace: Workspace) -> SumsManifest:
    key = workspace.index(MANIFEST_NAME)
    return await read_manifest(workspace, key, SumsManifest.from_json) or SumsManifest()
