"""Conditions: `{ column = text or [texts] }` (rule 24)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from worker.recount.shop.contract import Condition
from worker.recount.values import fold

SIGNS = ("<0", ">0")


@dataclass(frozen=True)
class Shown:
    """A cell as conditions see it.

    Attributes:
        text: Folded; empty for no value.
        number: Its number, where it is one.
    """

    text: str
    number: Decimal | None = None


def holds(conditions: Sequence[Condition], show: Callable[[str], Shown]) -> bool:
    """Return whether one of some conditions holds.

    Args:
        conditions: Of each, all columns must hold.
        show: Returns the cell of a column.
    """
    return any(
        all(_list_holds(texts, show(column)) for column, texts in condition.items())
        for condition in conditions
    )


def _list_holds(texts: Sequence[str], cell: Shown) -> bool:
    """Hold a list of texts against a cell: some plain text matches, and no negated one."""
    plain = [text for text in texts if not text.startswith("!")]
    negated = [text[1:] for text in texts if text.startswith("!")]
    is_some = not plain or any(_matches(text, cell) for text in plain)
    return is_some and not any(_matches(text, cell) for text in negated)


def _matches(text: str, cell: Shown) -> bool:
    wanted = fold(text)
    if wanted in SIGNS:
        number = cell.number
        return number is not None and (number < 0 if wanted == "<0" else number > 0)
    if wanted == "*":
        return cell.text != ""
    pattern = ".*".join(map(re.escape, wanted.split("*")))
    return re.fullmatch(pattern, cell.text, re.DOTALL) is not None
