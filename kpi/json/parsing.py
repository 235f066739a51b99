"""Parse records of JSON; numbers that a double may not hold stay as they are written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

Parse = Callable[[bytes], object]
"""A parser of RFC 8259; numbers may become doubles. It raises `ValueError`."""

_DIGITS = bytes.maketrans(b"123456789.", b"0000000000")
_MANY_DIGITS = b"0" * 16
"""A double holds 15 digits for certain (IEEE 754)."""

_LONG_NUMBER = re.compile(rb"[:\[,][ \t\r\n]*-?[0-9.]{16}")


class Number(str):
    """A number as it is written."""

    __slots__ = ()


def parse_all(texts: Sequence[bytes], parse: Parse) -> list[object]:
    """Parse records; a record that is no JSON becomes a `ValueError`.

    Strings hold bytes that are not UTF-8 as surrogates (PEP 383).
    """
    has_long = _MANY_DIGITS in b"\n".join(texts).translate(_DIGITS)
    if not has_long:
        try:
            return list(map(parse, texts))
        except ValueError:
            pass  # some record is no JSON: each is parsed by itself
    found: list[object] = []
    for text in texts:
        try:
            value = parse(text)
            if has_long and _LONG_NUMBER.search(text):
                value = parse_literally(text)
        except ValueError as error:
            value = _after_failure(text, error)
        found.append(value)
    return found


def _after_failure(text: bytes, error: ValueError) -> object:
    """Parse a record whose strings may not be UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError:
        try:
            return parse_literally(text)
        except ValueError as other:
            return other
    return error


def parse_literally(text: bytes) -> Any:  # noqa: ANN401
    """Parse a record, numbers as they are written.

    Raises:
        ValueError: It is no JSON.
    """
    try:
        return json.loads(
            text.decode("utf-8", "surrogateescape"),
            parse_float=Number,
            parse_int=Number,
            parse_constant=_refuse,
        )
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
