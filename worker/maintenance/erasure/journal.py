"""Keep a copy of each erasure in the workspace, so that a ledger that was put back gets it again.

`index/erasure-<id>.json` has the record of an erasure and the entries that were rewritten for it:
what the ledger holds of it, and no more. It is written before the objects are deleted that the
erasure has replaced. A ledger of before the erasure names these; `shopkpi maintain --rebuild` then
repeats the erasure from the copy, without the customer's id, which nobody has to remember.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from kpi.erasure.rows import NEVER, Subjects, build_subjects
from worker.clean import Workspace
from worker.errors import (
    ConfigError,
    CustomersErased,
    DamagedObject,
    HeadMoved,
    ObjectsCollected,
    SourceError,
    StoreError,
)
from worker.index.stored import read_manifest
from worker.maintenance.erasure.erase import MAX_ROUNDS, Listing, list_entries
from worker.maintenance.erasure.rewriting import Rewriter
from worker.objects import list_names
from worker.state import Entry, Erasure, Ledger
from worker.state.contract_in_force import ContractInForce
from worker.state.erasures import Erasures, generation_of
from worker.state.records import record_from_json

JOURNAL_NAME = re.compile(r"erasure-[0-9a-f]{16}\.json")
"""Names of the copies, in the folder of the index."""

FORMAT = 1
"""Version of a copy. One of another version cannot be repeated, and is left alone."""


@dataclass(frozen=True, kw_only=True)
class Copy:
    """An erasure as the workspace has it.

    Attributes:
        record: Its record, with the sequence that it had.
        entries: What was rewritten for it, by the sequence of the entry that each rewrites.
        secret: Identifies the secret of the ledger that its digests are of.
    """

    record: Erasure
    entries: Mapping[int, Entry]
    secret: str

    def to_json(self) -> bytes:
        return orjson.dumps(
            {
                "format": FORMAT,
                "secret": self.secret,
                "record": orjson.Fragment(self.record.to_json()),
                "entries": [orjson.Fragment(one.to_json()) for one in self.entries.values()],
            }
        )

    @classmethod
    def from_json(cls, data: bytes, url: str) -> Copy:
        """Parse the text of `to_json`.

        Raises:
            DamagedObject: It is damaged, or of another version.
        """
        try:
            fields: dict[str, Any] = orjson.loads(data)
            if fields["format"] != FORMAT:
                raise ValueError(f"format {fields['format']}")
            record = record_from_json(orjson.dumps(fields["record"]))
            if not isinstance(record, Erasure):
                raise TypeError(type(record).__name__)
            entries = [Entry.from_json(orjson.dumps(one)) for one in fields["entries"]]
            return cls(
                record=record,
                entries={one.rewrites: one for one in entries},
                secret=str(fields["secret"]),
            )
        except (ValueError, TypeError, KeyError, AttributeError, StoreError) as error:
            raise DamagedObject(
                url=url, expected="a copy of an erasure", actual=f"damaged bytes ({error})"
            ) from error

    def of(self, entry: Entry) -> Entry | None:
        """Return what was rewritten of an entry of this or another state of the ledger, if any."""
        found = self.entries.get(entry.sequence)
        same = found is not None and (found.source_id, found.contract) == (
            entry.source_id,
            entry.contract,
        )
        return found if same else None


async def keep_copies(workspace: Workspace, ledger: Ledger, erasures: Erasures) -> None:
    """Copy the erasures of a ledger that the workspace has no copy of, and the last one anyway.

    Raises:
        StoreError: A store fails after retries.
    """
    if not erasures.records:
        return
    present = {name for name, _ in await _listed(workspace)}
    for record in erasures.records:
        name = f"erasure-{record.erasure_id}.json"
        if name in present and record.sequence != erasures.last:
            continue
        entries = await ledger.rewritten(record.erasure_id)
        copy = Copy(
            record=record,
            entries={one.rewrites: one for one in entries},
            secret=_identify(erasures.key),
        )
        async with workspace.store.create(workspace.absolute(workspace.index(name))) as writer:
            await writer.write(copy.to_json())


async def repeat_erasures(
    workspace: Workspace, ledger: Ledger, in_force: ContractInForce
) -> list[Erasure]:
    """Bring erasures into a ledger that was put back to before them, and return their records.

    Entries that such a ledger has got since are looked through, and rewritten where they have the
    customer.

    Args:
        workspace: Where copies and clean zone are.
        ledger: The ledger.
        in_force: The contract in force.

    Raises:
        ConfigError: The ledger has another secret than the copies.
        HeadMoved: Others keep committing uploads.
        SourceError: A clean object, or a copy, cannot be read.
        StoreError: A store fails after retries.
    """
    known = {one.erasure_id for one in await ledger.erasures()}
    missing: list[Copy] = []
    for name, key in await _listed(workspace):
        if name.removeprefix("erasure-").removesuffix(".json") not in known:
            copy = await read_manifest(workspace, workspace.index(name), Copy.from_json)
            if copy is None:
                raise SourceError("a copy of an erasure cannot be read", url=key)
            missing.append(copy)
    if not missing:
        return []
    secret = await ledger.erasure_key() or b""
    if any(one.secret != _identify(secret) for one in missing):
        raise ConfigError(
            "the ledger was put back to before the erasure of customers, and has another secret",
            expected="the secret under which they were erased",
            actual="another one" if secret else "none",
            hint="put the later ledger back; or remove this one, make a new one by `shopkpi "
            "maintain --rebuild INPUT...`, and erase these customers again",
        )
    missing.sort(key=lambda one: one.record.sequence)
    return [
        await _repeat(_Repetition(workspace, ledger, in_force, secret, copy, missing[at:]))
        for at, copy in enumerate(missing)
    ]


@dataclass(frozen=True)
class _Repetition:
    """One erasure that is repeated.

    Attributes:
        later: This one and those after it: what they rewrote needs no look.
    """

    workspace: Workspace
    ledger: Ledger
    in_force: ContractInForce
    secret: bytes
    copy: Copy
    later: Sequence[Copy]

    @property
    def subjects(self) -> Subjects:
        record = self.copy.record
        until = int(record.recorded_at.timestamp() * 10**6) if record.mode == "delete" else NEVER
        return build_subjects(
            self.secret, dict.fromkeys(record.customers, until), list(record.orders)
        )


async def _repeat(one: _Repetition) -> Erasure:
    record, looked_at = one.copy.record, set[int]()
    for _ in range(MAX_ROUNDS):
        listing = await list_entries(one.ledger, one.in_force)
        staged = {entry.rewrites for entry in await one.ledger.rewritten(record.erasure_id)}
        left = [
            entry
            for entry in listing.entries
            if entry.sequence not in staged and entry.sequence not in looked_at
        ]
        try:
            if await _stage(one, listing, left):
                continue
            looked_at.update(entry.sequence for entry in left)
            return await one.ledger.erase(replace(record, sequence=0), head=listing.head)
        except (CustomersErased, HeadMoved, ObjectsCollected):
            continue
    raise HeadMoved(f"gave up after {MAX_ROUNDS} rounds: others keep committing uploads")


async def _stage(one: _Repetition, listing: Listing, entries: Sequence[Entry]) -> int:
    """Stage what was rewritten of some entries; return how many there are."""
    rewriter = Rewriter(
        workspace=replace(one.workspace, generation=generation_of(one.copy.record.erasure_id)),
        subjects=one.subjects,
        contracts=listing.contracts,
    )
    count = 0
    for entry in entries:
        rewritten = one.copy.of(entry)
        if rewritten is None and not any(later.of(entry) for later in one.later):
            rewritten = await rewriter.rewrite(entry)
        if rewritten is None:
            continue
        await one.ledger.stage(
            replace(
                rewritten,
                staged=True,
                erasure=one.copy.record.erasure_id,
                rewrites=entry.sequence,
                erased=listing.erasures.last,
                sequence=0,
            )
        )
        count += 1
    return count


async def _listed(workspace: Workspace) -> list[tuple[str, str]]:
    """List the copies of a shop: name and key."""
    root = workspace.absolute("x")[:-1]
    return [
        (name, one.key)
        async for one in list_names(workspace.store, workspace.absolute("index"))
        if workspace.owns(one.key.removeprefix(root))
        and JOURNAL_NAME.fullmatch(name := one.key.rpartition("/")[2])
    ]


def _identify(secret: bytes) -> str:
    """Identify a secret: it has 32 random bytes, so that nobody finds it by trying."""
    return hashlib.blake2b(b"copy of an erasure", key=secret, digest_size=8).hexdigest()
