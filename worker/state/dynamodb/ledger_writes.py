"""Build the writes of ledger records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kpi.aggregation.tables import LEDGER_TABLE
from worker.state import Adoption, Entry, Erasure, Record
from worker.state.dynamodb.client import Database
from worker.state.dynamodb.format import FORMAT_ATTRIBUTE
from worker.state.dynamodb.items import absent, document, number, put, unchanged

if TYPE_CHECKING:
    from worker.state.dynamodb.items import Condition, Item, Write

SEQUENCE_DIGITS = 12
"""Digits of a sequence in a sort key, so that keys sort as numbers do."""

IN_FORCE = ("adoption", "in force")

HEAD = ("head", "head")


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """The end of the ledger.

    Attributes:
        sequence: Of the last record; 0 for none.
        erased: Of the last erasure; 0 for none.
    """

    sequence: int = 0
    erased: int = 0


class LedgerWrites:
    """Builds writes for the ledger of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def point(self, pointer: Item, record: Record, head: Head, replaces: int) -> list[Write]:
        """Build the writes of a record; that of its pointer, to `replaces` so far, is the first."""
        table = self._database.table(LEDGER_TABLE)
        pointer = {**pointer, "sequence": number(record.sequence)}
        return [
            {"Put": put(table, pointer, unchanged("sequence", replaces))},
            *self.append(record, head),
        ]

    def append(self, record: Record, head: Head) -> list[Write]:
        """Build the writes that append a record, and move the head from `head` to it."""
        table = self._database.table(LEDGER_TABLE)
        erased = record.sequence if isinstance(record, Erasure) else head.erased
        moved: Item = {
            **self._database.ledger_key(*HEAD),
            "sequence": number(record.sequence),
            **FORMAT_ATTRIBUTE,
            **({"erased": number(erased)} if erased else {}),
        }
        return [
            {"Put": put(table, self.record_item(record), absent("entry"))},
            {"Put": put(table, moved, unchanged("sequence", head.sequence))},
        ]

    def hold_contract(self, adoption: Adoption, sequence: int, *, is_first: bool) -> list[Write]:
        """Build the writes that check the contract in force, or bring the first one into force."""
        table = self._database.table(LEDGER_TABLE)
        if is_first:
            first = adoption.at(sequence)
            return [
                self.put_adoption(first, absent("sequence")),
                {"Put": put(table, self.record_item(first), absent("entry"))},
            ]
        return [
            {
                "ConditionCheck": {
                    "TableName": table,
                    "Key": self._database.ledger_key(*IN_FORCE),
                    "ConditionExpression": "#a = :digest",
                    "ExpressionAttributeNames": {"#a": "digest"},
                    "ExpressionAttributeValues": {":digest": {"S": adoption.digest}},
                }
            }
        ]

    def sequence_key(self, sequence: int) -> Item:
        """Return the key of the record at a sequence."""
        return self._database.ledger_key("sequence", digits(sequence))

    def record_item(self, record: Record) -> Item:
        """Return the item of a record."""
        what = f"{type(record).__name__.lower()} {record.sequence} of the ledger"
        if isinstance(record, Entry):
            what = f"the entry of {record.url}"
        return {**self.sequence_key(record.sequence), "entry": document(record.to_json(), what)}

    def put_adoption(self, adoption: Adoption, condition: Condition) -> Write:
        """Build the write that brings a contract into force."""
        item: Item = {
            **self.record_item(adoption),
            **self._database.ledger_key(*IN_FORCE),
            "sequence": number(adoption.sequence),
            "digest": {"S": adoption.digest},
        }
        return {"Put": put(self._database.table(LEDGER_TABLE), item, condition)}


def digits(sequence: int) -> str:
    """Return a sequence as the sort key of its record."""
    return f"{sequence:0{SEQUENCE_DIGITS}d}"
