"""Texts to exact decimals, in the form that a contract says a file writes them in."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kpi.contract.forms import SPACES, NumberForm
from kpi.kernels.arrays import Int64s, Mask
from kpi.kernels.digits import decode_units
from kpi.kernels.masks import true, valid

FRACTION_DIGITS = 18
"""Decimals of a number that is read by itself: as many as fit 64 bits."""

TOTAL_DIGITS = 18
"""Digits of a number at its scale: as many as fit 64 bits."""

MAX_PLAIN_PLACES, MAX_PLAIN_BYTES = 6, 16
"""Digits behind the mark, and bytes, of a number that is decoded eight bytes at a time."""

MAX_WIDTHS = 4
"""Numbers of digits behind the mark that are decoded so; other texts are read by patterns."""

MIN_DECODED_ROWS = 500
"""Texts below which patterns take no longer."""

SAMPLE_ROWS = 24
"""Texts looked at for the number of digits behind the mark."""

_EXACT = Context(prec=400, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True)
class Numbers:
    """Numbers read from texts.

    Attributes:
        units: Numbers at the scale asked for, rounded half-even; 0 where there is none.
        valid: Where a text is a number that fits.
        wrong: Where a text is there and is no number, or does not fit.
        rounded: Where decimals beyond the scale were dropped.
    """

    units: Int64s
    valid: Mask
    wrong: Mask
    rounded: Mask


def read_numbers(texts: pa.Array, form: NumberForm, scale: int) -> Numbers:
    """Read decimals.

    Args:
        texts: Without outer blanks; null where a cell has no value.
        form: How they are written.
        scale: Decimal places of the result.
    """
    plain, units = read_plain(texts, form, scale)
    none = np.zeros(len(texts), bool)
    if int(np.count_nonzero(plain)) == len(texts) - texts.null_count:
        return Numbers(units=units, valid=plain, wrong=none, rounded=none)
    rest = np.flatnonzero(valid(texts) & ~plain)
    encoded = pc.dictionary_encode(texts.take(pa.array(rest)))
    distinct = _read_distinct(encoded.dictionary, form, scale)
    at = encoded.indices.to_numpy()
    wrong, rounded = none, none.copy()
    units[rest], plain[rest] = distinct.units[at], distinct.valid[at]
    wrong[rest], rounded[rest] = distinct.wrong[at], distinct.rounded[at]
    return Numbers(units=units, valid=plain, wrong=wrong, rounded=rounded)


def read_plain(texts: pa.Array, form: NumberForm, scale: int) -> tuple[Mask, Int64s]:
    """Read the texts that are digits and a mark alone, in the widths that most have.

    Args:
        texts: As of `read_numbers`.
        form: Likewise.
        scale: Likewise.

    Returns:
        Which texts were read, and their units at the scale; 0 for the others.
    """
    plain, units = np.zeros(len(texts), bool), np.zeros(len(texts), np.int64)
    mark = form.decimal.encode()
    if len(mark) > 1:
        return plain, units
    rest = np.flatnonzero(valid(texts))
    for _ in range(MAX_WIDTHS):
        some = texts if len(rest) == len(texts) else texts.take(pa.array(rest))
        places = _common_places(some, form.decimal, min(scale, MAX_PLAIN_PLACES))
        if places is None:
            break
        # The bytes before the mark are digits that fit the scale, leading zeros or not.
        most = min(TOTAL_DIGITS - scale + (places + 1 if places else 0), MAX_PLAIN_BYTES)
        found, read = decode_units(some, places, mark, most)
        plain[rest[found]] = True
        units[rest] = read * 10 ** (scale - places)
        rest = rest[~found]
        if len(rest) <= MIN_DECODED_ROWS:
            break
    return plain, units


def _common_places(texts: pa.Array, mark: str, most: int) -> int | None:
    """Count the digits behind the mark of the most frequent width in a sample; None without one."""
    shape = re.compile(rf"[0-9]+(?:{re.escape(mark)}([0-9]{{1,{max(most, 1)}}}))?", re.ASCII)
    step = max(len(texts) // SAMPLE_ROWS, 1)
    found = [
        len(match[1] or "")
        for text in texts[::step].to_pylist()
        if text and (match := shape.fullmatch(text))
    ]
    counts = Counter(places for places in found if places <= most)
    return counts.most_common(1)[0][0] if counts else None


def _read_distinct(texts: pa.Array, form: NumberForm, scale: int) -> Numbers:
    sign, digits = _split_sign(texts, form)
    found = pc.extract_regex(digits, f"^(?:{form.pattern})$")
    matches = true(found.is_valid())
    # An array of structs without one that matches has children all the same.
    whole, fraction, exponent = (
        pc.fill_null(found.field(name), "") for name in ("whole", "fraction", "exponent")
    )
    for mark in SPACES if form.group == " " else form.group:
        whole = pc.replace_substring(whole, mark, "")
    whole = pc.utf8_ltrim(whole, "0")
    widths = pc.binary_length(whole).to_numpy(zero_copy_only=False)
    some = true(pc.greater(pc.add(pc.binary_length(fraction), _lengths(found, "whole")), 0))
    matches &= some
    fits = widths <= TOTAL_DIGITS - scale
    plain = matches & fits & ~true(pc.greater(pc.binary_length(exponent), 0))
    high = _integers(whole, plain)
    padded = pc.utf8_slice_codeunits(
        pc.utf8_rpad(fraction, FRACTION_DIGITS, "0"), 0, FRACTION_DIGITS
    )
    low = _integers(padded, plain)
    step = 10 ** (FRACTION_DIGITS - scale)
    units, rest = high * 10**scale + low // step, low % step
    beyond = true(
        pc.match_substring_regex(
            pc.utf8_slice_codeunits(fraction, FRACTION_DIGITS, 2**31 - 1), "[1-9]"
        )
    )
    half = step // 2
    up = (rest > half) | ((rest == half) & (beyond | (units % 2 == 1)))
    units, rounded = units + up, (rest > 0) | beyond
    is_number = plain.copy()
    for at in np.flatnonzero(matches & ~plain).tolist():
        value, exact = _slow(whole[at].as_py(), fraction[at].as_py(), exponent[at].as_py(), scale)
        is_number[at] = value is not None
        units[at], rounded[at] = value or 0, not exact
    return Numbers(
        units=np.where(is_number, units * sign, 0),
        valid=is_number,
        wrong=~is_number & valid(texts),
        rounded=rounded & is_number,
    )


def _lengths(found: pa.StructArray, name: str) -> pa.Array:
    return pc.binary_length(pc.fill_null(found.field(name), ""))


def _split_sign(texts: pa.Array, form: NumberForm) -> tuple[Int64s, pa.Array]:
    """Part signs, parentheses, and the texts that the form has around a number, from the digits."""
    text = pc.replace_substring(texts, "\u2212", "-")
    sign = np.ones(len(text), np.int64)
    around = true(pc.match_substring_regex(text, r"^\(.*\)$"))
    sign[around] = -1
    text = pc.if_else(pa.array(around), pc.utf8_slice_codeunits(text, 1, -1), text)
    signed = around
    for _ in range(2):  # a sign stands outside a currency, or inside
        before = true(pc.starts_with(text, "-")) & ~signed
        behind = true(pc.ends_with(text, "-")) & ~signed & ~before
        plus = true(pc.starts_with(text, "+")) & ~signed
        sign[before | behind] = -1
        rest = pc.utf8_slice_codeunits(text, 1, 2**31 - 1)
        text = pc.if_else(pa.array(before | plus), rest, text)
        text = pc.if_else(pa.array(behind), pc.utf8_slice_codeunits(text, 0, -1), text)
        signed = signed | before | behind | plus
        if form.prefix:
            text = _without(text, form.prefix, at_start=True)
        if form.suffix:
            text = _without(text, form.suffix, at_start=False)
        text = pc.utf8_trim(text, f"\t{SPACES}")
    return sign, text


def _without(text: pa.Array, part: str, *, at_start: bool) -> pa.Array:
    has = (pc.starts_with if at_start else pc.ends_with)(text, part)
    rest = (
        pc.utf8_slice_codeunits(text, len(part), 2**31 - 1)
        if at_start
        else pc.utf8_slice_codeunits(text, 0, -len(part))
    )
    return pc.if_else(has, rest, text)


def _integers(digits: pa.Array, which: Mask) -> Int64s:
    """Digits as integers; 0 where there are none, or not asked for."""
    shown = pc.if_else(pa.array(which & true(pc.not_equal(digits, ""))), digits, "0")
    return shown.cast(pa.int64()).to_numpy(zero_copy_only=False)


def _slow(whole: str, fraction: str, exponent: str, scale: int) -> tuple[int | None, bool]:
    """Read a number with an exponent, or with more digits than 64 bits hold."""
    number = Decimal(f"{whole or 0}.{fraction or 0}").scaleb(int(exponent or 0), _EXACT)
    scaled = number.scaleb(scale, _EXACT)
    if scaled.adjusted() >= TOTAL_DIGITS:
        return None, True
    value = int(scaled.to_integral_value(ROUND_HALF_EVEN))
    return value, value == scaled
