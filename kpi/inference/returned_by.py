"""What another table says of an order or a line: that it came back."""

from __future__ import annotations

from dataclasses import dataclass

from kpi.inference.categories import Cell
from kpi.inference.values import Column


@dataclass(frozen=True, kw_only=True)
class ReturnedBy:
    """A column of a table beside orders that says which came back.

    Attributes:
        cell: It, looked up by the order or line.
        texts: That say so; `("*",)` where any does.
        is_of_lines: Whether it is looked up by the line.
        note: What speaks for it.
        name: Of the contract's column.
        no_sale: Texts that say that there was no sale.
        no_sale_share: Orders of which the last says so.
        only: Condition of the rows that are read; None where all are.
    """

    cell: Cell
    texts: tuple[str, ...]
    is_of_lines: bool
    note: str
    name: str = "came_back"
    no_sale: tuple[str, ...] = ()
    no_sale_share: float = 0.0
    only: tuple[str, tuple[str, ...]] | None = None

    @property
    def condition(self) -> str | list[str]:
        """Right side of a condition."""
        return self.texts[0] if len(self.texts) == 1 else list(self.texts)


@dataclass(frozen=True, kw_only=True)
class ReturnList:
    """A table of orders that came back, with what was paid back or without.

    Attributes:
        order: Its column of the order.
        amounts: Columns that may be what was paid back, the likeliest first.
        only: Column and texts of the rows that came back; None where all did.
        note: What speaks for it.
    """

    order: Column
    amounts: tuple[Column, ...] = ()
    only: tuple[Column, tuple[str, ...]] | None = None
    note: str = ""
