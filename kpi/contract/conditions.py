"""Conditions of a contract: which texts a cell may have for a row to count as something."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property

from kpi.contract.folding import fold

SIGNS = {"<0": -1, ">0": 1}
"""Patterns that test the sign of a number."""

NO_NUMBER = 9
"""Sign of a text that is no number."""


@dataclass(frozen=True)
class Patterns:
    """Texts that a cell is compared with (rule 24).

    They hold if any plain text matches, or there is none, and no text behind a `!` does.

    Attributes:
        texts: As the contract has them: `*` any value, empty for none, `C*` begins with, `!x` not
            x, `<0` and `>0` the sign of a number. Case and outer blanks do not matter.
    """

    texts: tuple[str, ...]

    @cached_property
    def plain(self) -> tuple[str, ...]:
        """Texts of which one must match."""
        return tuple(text for text in self.texts if not text.startswith("!"))

    @cached_property
    def negated(self) -> tuple[str, ...]:
        """Texts of which none may match, without their `!`."""
        return tuple(text[1:] for text in self.texts if text.startswith("!"))

    @cached_property
    def asks_for_signs(self) -> bool:
        """Whether the sign of a number is tested."""
        return any(fold(text.removeprefix("!")) in SIGNS for text in self.texts)

    def match(self, cell: str | None, sign: int | None = None) -> bool:
        """Compare one cell.

        Args:
            cell: None for one without a value.
            sign: Of its number; `NO_NUMBER` where it is none, None to read it with a point.
        """
        text = "" if cell is None else fold(cell)
        if sign is None:
            sign = _sign(text)
        return (not self.plain or any(_matches(one, text, sign) for one in self.plain)) and not any(
            _matches(one, text, sign) for one in self.negated
        )


Condition = Mapping[str, Patterns]
"""Column -> its patterns; all columns must hold."""

Conditions = tuple[Condition, ...]
"""Conditions of which one is enough."""


def columns_of(conditions: Conditions) -> tuple[str, ...]:
    """Name the columns that some conditions read, each once."""
    return tuple(dict.fromkeys(name for condition in conditions for name in condition))


def _sign(text: str) -> int:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return NO_NUMBER
    return int(number.compare(0)) if number.is_finite() else NO_NUMBER


def _matches(pattern: str, text: str, sign: int) -> bool:
    """Compare a folded text with one pattern."""
    wanted = fold(pattern)
    if wanted == "*":
        return text != ""
    if wanted in SIGNS:
        return sign == SIGNS[wanted]
    if "*" in wanted:
        parts = (re.escape(part) for part in wanted.split("*"))
        return re.fullmatch(".*".join(parts), text, re.DOTALL) is not None
    return text == wanted
