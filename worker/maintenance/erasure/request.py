"""What is asked of an erasure, and what it has found so far."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from kpi.contract.model import Contract
from kpi.erasure.digests import Digests, number_form, pseudonym_texts
from kpi.erasure.places import CUSTOMER
from kpi.erasure.rows import FOREVER, NEVER, Subjects
from kpi.kernels.uuids import format_uuid, parse_uuid_scalar
from worker.clean import Workspace
from worker.errors import ConfigError
from worker.state import Entry, Erasure, Ledger
from worker.state.contract_in_force import ContractInForce
from worker.state.erasures import Erasures, generation_of
from worker.state.records import ErasureMode


@dataclass(frozen=True, kw_only=True)
class Request:
    """One customer to erase.

    Attributes:
        ledger: Its entries name the objects.
        workspace: Holds them.
        in_force: The contract in force.
        secret: Key of the ledger's digests.
        customer: The id, as a text.
        mode: What becomes of the rows.
        keeps_absent: Whether the erasure is committed even where no object has the customer: raw
            files may.
        rewritten: Called with each upload that was rewritten.
        now: Returns seconds since 1970, by which it shows how long a process slept.
    """

    ledger: Ledger
    workspace: Workspace
    in_force: ContractInForce
    customer: str = field(repr=False)
    mode: ErasureMode
    secret: bytes = field(repr=False)
    keeps_absent: bool = False
    rewritten: Callable[[Entry], None] = lambda _: None
    now: Callable[[], float] = time.time

    @property
    def digest(self) -> bytes:
        return Digests(self.secret, "customer").of(self.customer)

    def is_done(self, erasures: Erasures) -> bool:
        """Return whether the ledger has an erasure of the customer that does what is asked."""
        return self.latest(erasures) is not None

    def latest(self, erasures: Erasures) -> Erasure | None:
        """Return the last erasure of the customer that does what is asked, if any."""
        digest = self.digest.hex()
        found = [
            one
            for one in erasures.records
            if digest in one.customers and one.mode in (self.mode, "delete")
        ]
        return found[-1] if found else None

    def subjects(self, found: Found | None = None) -> Subjects:
        """Return whose rows are looked for.

        A deletion also finds the rows that an earlier erasure gave a pseudonym.
        """
        known = Digests(self.secret, "customer", [self.digest])
        digests = [self.digest, *(known.of(text) for text in self.own_texts[1:])]
        if found is not None:
            digests += map(known.of, found.aliases)
        until = FOREVER if self.mode == "delete" else NEVER
        return Subjects(
            customers=Digests(self.secret, "customer", dict.fromkeys(digests)),
            deleted_until=(until,) * len(set(digests)),
            orders=Digests(self.secret, "order", found.orders if found is not None else ()),
        )

    def subjects_of(self, erasure: Erasure) -> Subjects:
        """Return whose rows are looked for in raw files, once the erasure is committed."""
        return Subjects(
            customers=Digests(self.secret, "customer", map(bytes.fromhex, erasure.customers)),
            deleted_until=(NEVER,) * len(erasure.customers),
            orders=Digests(self.secret, "order", map(bytes.fromhex, erasure.orders)),
        )

    @property
    def own_texts(self) -> list[str]:
        """Texts of the id, and of the pseudonyms that it may have where rows are deleted."""
        if self.mode != "delete":
            return [self.customer]
        known = Digests(self.secret, "customer", [self.digest])
        return [self.customer, *pseudonym_texts(known.pseudonym(0))]

    def erasure(self, erasures: Erasures, found: Found) -> Erasure:
        """Build the record of the erasure.

        Its id depends on everything that decides what is rewritten: so a process that goes on where
        another one died finds its work, and one that must do it again does not.
        """
        known = Digests(self.secret, "customer")
        customers = [self.digest, *map(known.of, found.aliases)]
        parts = [self.mode.encode(), str(erasures.last).encode(), *customers, *found.orders]
        name = hashlib.blake2b(b"\0".join(parts), key=self.secret, digest_size=8).hexdigest()
        return Erasure(
            erasure_id=name,
            mode=self.mode,
            customers=tuple(one.hex() for one in customers),
            orders=tuple(one.hex() for one in found.orders),
            days=found.days,
            recorded_at=datetime.now(UTC),
        )

    def workspace_for(self, erasure: Erasure) -> Workspace:
        """Return the workspace with the keys of an erasure."""
        return replace(self.workspace, generation=generation_of(erasure.erasure_id))


@dataclass(frozen=True, kw_only=True)
class Found:
    """What has to be known before anything is rewritten.

    Attributes:
        aliases: Other ids of the customer, ascending: references lead from them to the id.
        orders: Digests of the orders that are deleted: those that are the customer's alone,
            ascending.
        days: ISO dates of the days that a deletion may change, ascending.
    """

    aliases: tuple[str, ...] = ()
    orders: tuple[bytes, ...] = ()
    days: tuple[str, ...] = ()


def customer_text(contract: Contract, customer: str) -> str:
    """Return the text of an id as clean rows have it.

    Raises:
        ConfigError: It is no id of the contract. The message does not have it.
    """
    if not customer.strip():
        raise ConfigError("the id is empty")
    if contract.shop is not None:
        return customer.strip()
    column = contract.datasets["orders"].columns[CUSTOMER]
    found: str | None = customer.strip() if column.trim else customer
    if column.type == "integer":
        found = number_form(customer.strip())
    elif column.type == "uuid":
        value = parse_uuid_scalar(customer.strip())
        found = None if value is None else format_uuid(value)
    if found is None:
        kinds = {"integer": "a whole number", "uuid": "a UUID"}
        raise ConfigError(expected=f"{kinds[column.type]}, as {CUSTOMER} is", actual="another text")
    return found
