"""Read typed values from a TOML document, collecting every problem."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, TypeVar

Choice = TypeVar("Choice", bound=str)

WHOLE_DIGITS, FRACTION_DIGITS = 19, 18
"""Digits of a limit. A 64-bit integer has 19; Arrow compares decimals of up to 76 in all."""

SHOWN_CHARACTERS = 200
"""Characters of a wrong value in a message."""


class Reader:
    """One table of the document. Wrong values become problems, and defaults replace them."""

    def __init__(
        self, values: dict[str, Any], path: str = "", problems: list[str] | None = None
    ) -> None:
        self._values = values
        self._path = path
        self._seen: set[str] = set()
        self.problems: list[str] = [] if problems is None else problems

    def problem(self, key: str, expected: str, got: object) -> None:
        place = ".".join(part for part in (self._path, key) if part)
        shown = "it is missing" if got is None else f"got {_shown(got)}"
        self.problems.append(f"{place}: expected {expected}, {shown}")

    def names(self) -> list[str]:
        return list(self._values)

    def table(self, key: str, *, required: bool = False) -> Reader:
        value = self._take(key, {})
        if not isinstance(value, dict):
            self.problem(key, "a table", value)
            value = {}
        elif required and not value:
            self.problem(key, "a table", None)
        path = f"{self._path}.{key}" if self._path else key
        return Reader(value, path, self.problems)

    def tables(self, key: str) -> list[Reader]:
        """Read an array of tables."""
        value = self._take(key, [])
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            self.problem(key, f"tables under [[{key}]]", value)
            return []
        return [
            Reader(one, f"{key} {number}", self.problems) for number, one in enumerate(value, 1)
        ]

    def has(self, key: str) -> bool:
        """Tell whether the document has a setting."""
        return key in self._values

    def value(self, key: str) -> Any:  # noqa: ANN401  (TOML values have any type)
        """Read a setting of any type; None where it is missing."""
        return self._take(key, None)

    def one_or_more(self, key: str) -> tuple[str, ...]:
        """Read a text or a list of texts; empty where it is missing."""
        if isinstance(self._values.get(key), str):
            return (self.text(key, ""),)
        return self.texts(key, ())

    def text(self, key: str, default: str) -> str:
        value = self._take(key, default)
        if isinstance(value, str):
            return value
        self.problem(key, "text", value)
        return default

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self._take(key, list(default))
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        self.problem(key, "a list of texts", value)
        return default

    def boolean(self, key: str, *, default: bool) -> bool:
        value = self._take(key, default)
        if isinstance(value, bool):
            return value
        self.problem(key, "true or false", value)
        return default

    def integer(self, key: str, default: int, *, low: int, high: int) -> int:
        if key not in self._values:
            return default
        value = self._take(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.problem(key, f"a whole number from {low} to {high}", value)
        return default

    def number(self, key: str, default: float, *, low: float, high: float) -> float:
        value = self._take(key, default)
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        self.problem(key, f"a number from {low} to {high}", value)
        return default

    def decimal(self, key: str) -> Decimal | None:
        value = self._take(key, None)
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool):
            # What is written as 0.1 means 0.1 and not the binary fraction next to it.
            number = Decimal(value) if isinstance(value, int) else Decimal(str(value))
            if number.is_finite() and _fits(number):
                return number
        expected = (
            f"a number of at most {WHOLE_DIGITS} digits before and {FRACTION_DIGITS} behind the "
            "point"
        )
        self.problem(key, expected, value)
        return None

    def choice(self, key: str, choices: Iterable[Choice], default: Choice | None) -> Choice:
        options = tuple(choices)
        value = self._take(key, default)
        for option in options:
            if value == option:
                return option
        self.problem(key, f"one of {', '.join(options)}", value)
        return options[0]

    def finish(self) -> None:
        """Report the settings that were never read: they are misspelt or in the wrong place."""
        for key in self._values:
            if key not in self._seen:
                known = ", ".join(sorted(self._seen))
                self.problem(key or '""', f"one of the settings {known}", "an unknown setting")

    def _take(self, key: str, default: object) -> Any:  # noqa: ANN401  (TOML values have any type)
        self._seen.add(key)
        return self._values.get(key, default)


def _fits(number: Decimal) -> bool:
    exponent = number.as_tuple().exponent
    return isinstance(exponent, int) and (
        exponent >= -FRACTION_DIGITS and number.adjusted() < WHOLE_DIGITS
    )


def _shown(value: object) -> str:
    try:
        shown = repr(value)
    except (ValueError, RecursionError):  # Python writes no integer of more than 4,300 digits
        return "a value too long to show"
    if len(shown) <= SHOWN_CHARACTERS:
        return shown
    return f"{shown[:SHOWN_CHARACTERS]}... ({len(shown)} characters)"
