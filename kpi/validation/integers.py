"""Convert texts to 64-bit integers by the grammar of Arrow's CSV converter."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from kpi.kernels.masks import booleans, valid
from kpi.validation.swar import decode_integers
from kpi.validation.text import convert_distinct, convert_rest, keep, matches

PLAIN_INTEGER = r"^-?[0-9]{1,18}$"

_INT64_DIGITS = len(str(2**63))

_HOPELESS = re.compile(r"[^-0-9]")


def to_integers(text: pa.Array) -> pa.Array:
    """Convert texts without outer blanks; null for a bad one."""
    return convert_rest(text, decode_integers(text), _other_integers, _HOPELESS)


def _other_integers(text: pa.Array) -> pa.Array:
    plain = matches(text, PLAIN_INTEGER)
    values = keep(text, plain).cast(pa.int64())
    rest = valid(text) & ~plain
    if rest.any():
        found = convert_distinct(text.filter(booleans(rest)), parse_integer, pa.int64())
        values = pc.replace_with_mask(values, booleans(rest), found)
    return values


def parse_integer(text: str) -> int | None:
    """Convert one text: a minus sign, digits; None for a bad one."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        return None
    digits = digits.lstrip("0") or "0"
    if len(digits) > _INT64_DIGITS:
        return None
    number = -int(digits) if text.startswith("-") else int(digits)
    return number if -(2**63) <= number < 2**63 else None
