"""What a contract reads of each table: its columns, datasets and references."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kpi.inference.categories import Cell
from kpi.inference.draft import Block, Value
from kpi.inference.headers import plain
from kpi.inference.tables import Reference, Table
from kpi.inference.values import Column

MAX_NAME = 40
"""Letters of a reference's name."""


class ReadingPlan:
    """Collects what a contract reads.

    Attributes:
        columns: By number of the table.
        feeds: Datasets and references that a table feeds, by its number.
        minor: Tables whose money is in the smallest unit.
        only: Condition of the rows that are read of a table, by its number, and why.
    """

    def __init__(self, tables: Sequence[Table]) -> None:
        self._tables = tables
        self.columns: dict[int, list[Column]] = {}
        self.feeds: dict[int, list[str]] = {}
        self.minor: set[int] = set()
        self.only: dict[int, tuple[dict[str, object], str]] = {}
        self._reference_keys: dict[str, str] = {}
        self._valid_from: dict[str, str] = {}
        self._named: dict[str, int] = {}

    def header(self, column: Column) -> Value:
        """Name a column, which the contract reads from then on."""
        self.columns.setdefault(column.table, []).append(column)
        return column.header.strip()

    def identifier(self, column: Column) -> Value:
        """Name a column of identifiers; `13085.0` is 13085 where the whole column is like that."""
        if column.joined:
            return {"join": [self.header(one) for one in column.joined]}
        header = self.header(column)
        return {"from": header, "type": "integer"} if column.dotted else header

    def money(self, column: Column) -> Value:
        """Name a column of money."""
        if "minor" in column.meaning and column.kind == "integer":
            self.minor.add(column.table)
        return self.header(column)

    def cell(self, cell: Cell) -> Value:
        """Say where the values of a column come from."""
        if not cell.steps:
            return self.header(cell.column)
        step = cell.steps[0]
        self.columns.setdefault(cell.column.table, []).append(cell.column)
        via = f"{self.reference(step, cell.value)}.{cell.value.header.strip()}"
        return {"from": cell.column.header.strip(), "via": via}

    def category(self, category: Cell) -> Value:
        """Say where a product's category stands: in its table, or behind it."""
        steps = category.steps[1:]
        if not steps:
            return self.header(category.value)
        via = []
        for at, step in enumerate(steps):
            behind = category.value if at == len(steps) - 1 else steps[at + 1].child
            via.append(f"{self.reference(step, behind)}.{behind.header.strip()}")
        return {"from": steps[0].child.header.strip(), "via": via if len(via) > 1 else via[0]}

    def reference(self, step: Reference, behind: Column) -> str:
        """Name the reference to a table, which is fed from then on."""
        table = self._tables[step.parent.table]
        name = self._name_of(table)
        self._reference_keys[name] = step.parent.header.strip()
        self.columns.setdefault(table.number, []).extend((step.parent, behind))
        self.feed(table, name)
        return name

    def _name_of(self, table: Table) -> str:
        """Name a reference by its file, in letters that a name may have."""
        name = re.sub(r"[^a-z0-9]+", "_", plain(table.stem)).strip("_")[:MAX_NAME] or "names"
        if name in ("orders", "order_items", "products", "refunds"):
            name = f"{name}_names"
        if self._named.setdefault(name, table.number) != table.number:
            name = f"{name}_{table.number}"
            self._named[name] = table.number
        return name

    def dated(self, step: Reference, behind: Column, day: Column) -> str:
        """Name a reference to a table whose rows are in force from a day on."""
        name = self.reference(step, behind)
        self._valid_from[name] = day.header.strip()
        self.columns.setdefault(day.table, []).append(day)
        return name

    def read_only(self, table: int, condition: dict[str, object], note: str) -> None:
        """Read the rows of a table alone of which a condition holds."""
        self.only[table] = (condition, note)

    def feed(self, table: Table, dataset: str) -> None:
        """Let a table feed a dataset or reference."""
        feeds = self.feeds.setdefault(table.number, [])
        if dataset not in feeds:
            feeds.append(dataset)

    def reference_blocks(self) -> list[Block]:
        """Write the references."""
        blocks = []
        for name, key in self._reference_keys.items():
            block = Block(f"[references.{name}]")
            block.add("key", key)
            if name in self._valid_from:
                note = "a key has several rows: the one in force on the order's day counts"
                block.add("valid_from", self._valid_from[name], note)
            blocks.append(block)
        return blocks
