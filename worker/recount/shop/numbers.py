"""Numbers in the form of an example: 1234.5 as the file writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from functools import cache

BLANKS = " \u00a0\u202f\u2009"
"""Blanks that group digits; one is as good as the other."""

MAX_DIGITS = 18
"""Digits of an amount at the places of its kind."""

PLACES = {"money": 4, "quantity": 3, "factor": 10}
"""Kind of number -> decimal places."""


class NumberText(str):
    """A number that has a type in its file, such as one of JSON: written with a point."""

    __slots__ = ()


@dataclass(frozen=True)
class _Form:
    whole: str
    point: str
    groups: str
    prefix: str
    suffix: str


@cache
def _form(example: str) -> _Form:
    found = re.fullmatch(r"(\D*)1(\D?)234(\D)50*(\D*)", example.strip())
    if found is None:
        raise ValueError(f"no form of numbers: {example!r}")
    prefix, group, point, suffix = found.groups()
    groups = BLANKS if group and group in BLANKS else group
    mark = f"[{re.escape(groups)}]"
    whole = rf"\d{{1,3}}(?:{mark}\d{{2,3}})*{mark}\d{{3}}|\d+" if groups else r"\d+"
    return _Form(whole, re.escape(point), groups, prefix.strip(), suffix.strip())


_PLAIN = "1234.50"


def read_number(text: str, example: str) -> Decimal | None:
    """Read a number exactly; None where it is none of the form."""
    form = _form(_PLAIN if isinstance(text, NumberText) else example)
    sign, text = 1, text.replace("\u2212", "-")
    has_sign = text.startswith("(") and text.endswith(")") and len(text) > 1
    if has_sign:
        sign, text = -1, text[1:-1]
    for _ in range(2):  # a sign stands outside a currency, or inside
        if text.startswith(("-", "+")) and not has_sign:
            sign, text, has_sign = -1 if text[0] == "-" else 1, text[1:], True
        elif text.endswith("-") and not has_sign:
            sign, text, has_sign = -1, text[:-1], True
        text = text.removeprefix(form.prefix)
        text = text.removesuffix(form.suffix) if form.suffix else text
        text = text.strip(f"\t{BLANKS}")
    found = re.fullmatch(
        rf"(?P<whole>{form.whole})?(?:{form.point}(?P<fraction>\d*))?(?:[eE](?P<power>[+-]?\d{{1,3}}))?",
        text,
        re.ASCII,
    )
    if found is None:
        return None
    whole = "".join(one for one in found["whole"] or "" if one not in form.groups)
    fraction = found["fraction"] or ""
    if not whole + fraction:
        return None
    return Decimal(f"{'-' if sign < 0 else ''}{whole or 0}.{fraction or 0}e{found['power'] or 0}")


_EXACT = Context(prec=400, rounding=ROUND_HALF_EVEN)


def rounded(number: Decimal | Fraction, places: int) -> Decimal:
    """Round half-even, once."""
    if isinstance(number, Decimal) and abs(number.adjusted()) < 100:
        return number.quantize(Decimal(1).scaleb(-places), context=_EXACT)
    return Decimal(round(Fraction(number) * 10**places)).scaleb(-places)


def fits(number: Decimal, places: int) -> bool:
    """Return whether a number, rounded to its places, has no more digits than are kept."""
    return number.is_zero() or number.adjusted() + places < MAX_DIGITS
