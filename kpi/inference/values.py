"""What the values of a column are: numbers, dates or texts, and how they are written."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from kpi.contract.forms import SPACES
from kpi.inference.dates import (
    MISFIT_SHARE,
    Dates,
    compact_dates,
    read_dates,
    unix_dates,
    unix_step,
)
from kpi.inference.headers import Meaning, meaning_of

Floats = npt.NDArray[np.float64]
ValueKind = Literal["blank", "integer", "decimal", "date", "boolean", "text"]


BLANK_WORDS = frozenset(
    {"null", "na", "n/a", "nan", "none", "nil", "\\n", "#n/a", "#na", "(null)", "-", "--", "nat"}
)
"""Words, folded, that programs write for a missing value: SQL, pandas, R, Excel, MySQL."""

BOOLEAN_WORDS = frozenset({"true", "false", "yes", "no", "y", "n", "t", "f", "0", "1"})


NUMBER = re.compile(
    r"(?P<open>\(?)[ ]?(?P<sign>[-+\u2212]?)(?P<prefix>[^\d\s.,()+\u2212-]{0,4})"
    r"[\s]?(?P<sign2>[-\u2212]?)"
    r"(?P<digits>\d[\d.,'\u00a0\u202f\u2009 ]*|[.,]\d+)(?P<exponent>[eE][-+]?\d{1,3})?"
    r"[\s\u00a0\u202f]?(?P<suffix>[^\d\s.,()+\u2212-]{0,4})(?P<sign3>[-\u2212]?)\)?"
)


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a sample, and what its values are.

    Attributes:
        table: Number of its table.
        index: Number in its table.
        header: As the file has it.
        cells: Texts; empty where there is no value, or a word for none.
        kind: What the values are.
        blanks: Words among them that mean "no value".
        numbers: Of numbers; NaN where there is none.
        number_forms: Examples of 1234.5 by which all of them can be read, the likeliest first.
        dates: Of dates.
        dotted: Whether whole numbers have decimals, all 0, which `cells` are without.
        has_headers: Whether the file has the header.
        meaning: Of the header.
        is_repeated: Whether values come again in rows that are not among these.
        joined: Columns that its values are made of, with a blank between; empty for its own.
        is_of_name: Whether the values are of the names of files.
    """

    table: int
    index: int
    header: str
    cells: tuple[str, ...]
    kind: ValueKind
    blanks: tuple[str, ...] = ()
    numbers: Floats | None = None
    number_forms: tuple[str, ...] = ()
    dates: Dates | None = None
    dotted: bool = False
    has_headers: bool = True
    meaning: Meaning = field(default_factory=lambda: meaning_of(""))
    is_repeated: bool = False
    joined: tuple[Column, ...] = ()
    is_of_name: bool = False

    @cached_property
    def codes(self) -> npt.NDArray[np.int64]:
        """Number of each cell's value; -1 for none."""
        known: dict[str, int] = {}
        return np.array(
            [known.setdefault(cell, len(known)) if cell else -1 for cell in self.cells], np.int64
        )

    @cached_property
    def distinct(self) -> frozenset[str]:
        """Values without the missing ones."""
        return frozenset(cell for cell in self.cells if cell)

    @cached_property
    def filled(self) -> int:
        """Cells with a value."""
        return sum(1 for cell in self.cells if cell)

    @property
    def fill_share(self) -> float:
        """Share of the cells that have a value."""
        return self.filled / len(self.cells) if self.cells else 0.0

    @property
    def unique_share(self) -> float:
        """Distinct values for each cell with one."""
        return len(self.distinct) / self.filled if self.filled else 0.0

    @cached_property
    def amounts(self) -> Floats:
        """Numbers; 0 where a cell has none."""
        if self.numbers is None:
            return np.zeros(len(self.cells))
        return np.nan_to_num(self.numbers)

    @property
    def is_key(self) -> bool:
        """Whether each row has a value of its own."""
        is_filled = self.filled == len(self.cells) > 0
        return is_filled and len(self.distinct) == self.filled and not self.is_repeated

    @property
    def is_number(self) -> bool:
        """Whether values are numbers."""
        return self.kind in ("integer", "decimal")


def read_columns(
    table: int, headers: Sequence[str], columns: Sequence[Sequence[str]], *, has_headers: bool
) -> list[Column]:
    """Tell what the values of the columns of a table are."""
    return [
        _read(table, index, header, cells, has_headers=has_headers)
        for index, (header, cells) in enumerate(zip(headers, columns, strict=True))
    ]


def _read(
    table: int, index: int, header: str, cells: Sequence[str], *, has_headers: bool
) -> Column:
    meaning = meaning_of(header if has_headers else "")
    distinct = {cell for cell in cells if cell}
    words = {cell for cell in distinct if cell.casefold() in BLANK_WORDS}
    values = distinct - words
    kind: ValueKind = "text"
    forms: tuple[str, ...] = ()
    found: dict[str, float] = {}
    dates: Dates | None = None
    dotted = False
    if not values:
        kind = "blank"
    elif (booleans := {one.casefold() for one in values}) <= BOOLEAN_WORDS and not all(
        one.isdigit() for one in booleans
    ):
        kind = "boolean"
    elif (numbers := read_numbers(values)) is not None and not (
        "id" in meaning and _has_letters(numbers[0])
    ):
        forms, found = numbers
        kind = "integer" if all(_is_whole(one) for one in values) else "decimal"
        dotted = kind == "decimal" and all(_DOTTED.fullmatch(one) for one in values)
        kind = "integer" if dotted else kind
        if kind == "integer" and meaning.has("date", "created", "other_date"):
            dates = _dates_in_digits(cells, values) if not words else None
            kind = kind if dates is None else "date"
    else:
        dates = read_dates([cell if cell not in words else "" for cell in cells])
        kind = "date" if dates is not None else "text"
    clean = tuple("" if cell in words else cell for cell in cells) if words else tuple(cells)
    numbers_of_cells = np.array([found.get(cell, np.nan) for cell in clean]) if found else None
    if dotted:
        clean = tuple(cell.partition(".")[0] for cell in clean)
    return Column(
        table=table,
        index=index,
        header=header,
        cells=clean,
        kind=kind,
        blanks=tuple(sorted(words)),
        numbers=numbers_of_cells,
        dotted=dotted,
        number_forms=forms,
        dates=dates,
        has_headers=has_headers,
        meaning=meaning,
    )


def _has_letters(forms: Sequence[str]) -> bool:
    """Whether letters stand beside numbers, as in `FT107`: an article, and no forints."""
    return any(one.isalpha() for one in forms[0])


def _dates_in_digits(cells: Sequence[str], values: set[str]) -> Dates | None:
    """Read whole numbers below the word for a date: days of eight digits, or Unix times."""
    step = unix_step(values)
    return unix_dates(cells, step) if step else compact_dates(cells)


_DOTTED = re.compile(r"[-+]?\d+(\.0+)?")
"""A whole number as programs write it that keep it with decimals: `13085.0`."""


def _is_whole(text: str) -> bool:
    return re.fullmatch(r"[-+]?\d+", text) is not None


def read_numbers(
    values: Iterable[str], preferred: Marks | None = None
) -> tuple[tuple[str, ...], dict[str, float]] | None:
    """Find the forms by which some texts are numbers, and the numbers by the likeliest.

    Args:
        values: Texts.
        preferred: Marks between groups and before decimals that come first where they fit.

    Returns:
        Examples of 1234.5 and the number of each text; None where the texts are no numbers.
    """
    parts: dict[str, re.Match[str]] = {}
    strange = 0
    total = 0
    for text in values:
        total += 1
        match = NUMBER.fullmatch(text)
        if match is None:
            strange += 1
        else:
            parts[text] = match
    if not parts or strange > MISFIT_SHARE * total:
        return None
    affixes = {(one["prefix"], one["suffix"]) for one in parts.values()} - {("", "")}
    if len(affixes) > 1 or any(_is_word(text) for pair in affixes for text in pair):
        return None
    prefix, suffix = next(iter(affixes), ("", ""))
    digits = {text: one["digits"].strip() for text, one in parts.items()}
    fitting = [form for form in _FORMS if all(_fits(one, *form) for one in digits.values())]
    if not fitting:
        return None
    if any(len(one) > 1 and one[0] == "0" and one.isdigit() for one in digits.values()):
        # Numbers do not begin with 0: codes do.
        return None
    fitting = _grouped_first(list(digits.values()), fitting)
    fitting.sort(key=lambda form: form != preferred)
    group, decimal = fitting[0]
    numbers = {}
    for text, one in parts.items():
        plain = digits[text]
        for mark in SPACES if group == " " else group:
            plain = plain.replace(mark, "")
        number = float(plain.replace(decimal, ".") + (one["exponent"] or ""))
        negative = one["open"] or any(one[name] in "-\u2212" and one[name] for name in _SIGNS)
        numbers[text] = -number if negative else number
    examples = tuple(f"{prefix}1{group}234{decimal}50{suffix}" for group, decimal in fitting)
    return examples, numbers


def _grouped_first(digits: Sequence[str], forms: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Put the form first by which a mark groups thousands, where the values say so.

    Some are marked and have three digits behind each mark, and those that are not marked are below
    1000: decimals of fixed places would stand in all of them, and others would be of other lengths.
    """
    for mark in ",.":
        marked = [one for one in digits if mark in one]
        if len(marked) < MIN_GROUPED or not all(_IN_GROUPS[mark].fullmatch(one) for one in marked):
            continue
        plain = [one for one in digits if mark not in one]
        if plain and all(len(one) <= len("999") for one in plain):
            return sorted(forms, key=lambda form: form[0] != mark)
    return forms


MIN_GROUPED = 3
"""Distinct values with marks that are evidence."""

_IN_GROUPS = {mark: re.compile(rf"[1-9]\d{{0,2}}(?:[{mark}]\d{{3}})+") for mark in ",."}

_SIGNS = ("sign", "sign2", "sign3")

Marks = tuple[str, str]
"""Marks between groups and before decimals."""

_FORMS: tuple[Marks, ...] = (
    ("", "."),
    ("", ","),
    (",", "."),
    (".", ","),
    (" ", ","),
    (" ", "."),
    ("'", "."),
)
"""Marks between groups and before decimals, the likeliest first."""


CURRENCY_SIGNS = frozenset(
    {"r$", "us$", "a$", "c$", "kr", "kr.", "zł", "zl", "kč", "kc", "ft", "lei", "rp", "rs", "%"}
    | {
        "tl",
        "km",
        "din",
        "ден",
        "лв",
        "\u0440\u0443\u0431",
        "грн",
        "s/",
        "b/.",
        "ksh",
        "rm",
        "円",
        "元",
        "원",
    }
)
"""Signs, folded, beside those that Unicode lists as currency symbols (category Sc): of CLDR."""

_CODES = (
    "AED ALL AMD ARS AUD AZN BAM BDT BGN BHD BOB BRL BYN CAD CHF CLP CNY COP CRC CZK DKK DOP DZD "
    "EGP EUR GBP GEL GHS GTQ HKD HNL HRK HUF IDR ILS INR ISK JOD JPY KES KRW KWD KZT LBP LKR MAD "
    "MDL MKD MXN MYR NGN NOK NPR NZD OMR PEN PHP PKR PLN PYG QAR RON RSD RUB SAR SEK SGD THB TND "
    "TRY TWD UAH USD UYU UZS VES VND XAF XOF ZAR"
)
CURRENCY_CODES = frozenset(_CODES.split())
"""Codes of ISO 4217 that stand beside amounts: other capitals there are those of an identifier."""


def _is_word(text: str) -> bool:
    """Whether what stands beside a number is more than the sign or code of a currency."""
    is_sign = any(unicodedata.category(one) == "Sc" for one in text)
    is_code = text in CURRENCY_CODES
    return bool(text) and not (is_sign or is_code or text.casefold() in CURRENCY_SIGNS)


def _fits(digits: str, group: str, decimal: str) -> bool:
    whole, _, fraction = digits.partition(decimal)
    if fraction and not fraction.isdigit():
        return False
    if not group:
        return whole.isdigit() or (not whole and bool(fraction))
    if group == " ":
        whole = re.sub(f"[{SPACES}]", " ", whole)
    if group not in whole:
        return whole.isdigit() or (not whole and bool(fraction))
    return (
        re.fullmatch(rf"\d{{1,3}}(?:{re.escape(group)}\d{{2,3}})*{re.escape(group)}\d{{3}}", whole)
        is not None
    )
