"""A chunk without quotes that nobody needs: `pyarrow.csv` parses it in a fifth less time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from kpi.chunk import Chunk, whole_of

FEW_QUOTES = 1000
"""With more of them, to write them one by one takes as long as it saves."""


def unquoted(chunk: Chunk, only_unquoted: Sequence[bool], *, delimiter: str) -> Chunk:
    """The chunk with its quoted fields written without quotes; as it is where one needs them.

    A field needs them in which a delimiter, a line end or a quote stands, unless every such value
    is bad in its column: then a question mark stands for each of these, and it is as bad.

    Args:
        chunk: The chunk; its records keep their numbers, not their places.
        only_unquoted: For each column, whether every value that needs quotes is bad.
        delimiter: Between fields.
    """
    quotes = chunk.few_quotes
    if not chunk.paired or quotes is None or not 0 < len(quotes) <= FEW_QUOTES:
        return chunk
    whole, first = whole_of(chunk.data)
    comma, field, needing = _patterns(delimiter)
    parts: list[bytes | memoryview] = []
    behind, end, column = first, first + len(chunk.data), 0
    for quote in (quotes + first).tolist():
        if quote < behind:
            continue  # in the last field, or the end of it
        feed = whole.rfind(b"\n", behind, quote)
        line = max(feed, whole.rfind(b"\r", max(feed, behind), quote)) + 1
        column = whole.count(comma, max(line, behind), quote) + (0 if line else column)
        match = field.match(whole, quote, end)
        if match is None:  # quotes that are paired do open and close it
            raise AssertionError(f"a quote at byte {quote - first} of a chunk opens no field")
        text = match[1]
        if needing.search(text):
            if column >= len(only_unquoted) or not only_unquoted[column]:
                return chunk
            text = needing.sub(b"?", text)
        elif (
            not text
            and quote in (line, first)
            and whole[match.end() : min(match.end() + 1, end)] in b"\r\n"
        ):
            return chunk  # a record that would be a blank line
        parts += [chunk.data[behind - first : quote - first], text]
        behind = match.end()
    data = b"".join([*parts, chunk.data[behind - first :]])
    return replace(chunk, data=memoryview(data), few_quotes=np.zeros(0, np.int64))


@lru_cache
def _patterns(delimiter: str) -> tuple[bytes, re.Pattern[bytes], re.Pattern[bytes]]:
    """The delimiter, a quoted field, and what only a quoted field can hold."""
    comma = delimiter.encode()
    needing = rb'[\r\n"' + re.escape(comma) + rb"]"
    return comma, re.compile(rb'"((?:[^"]++|"")*+)"'), re.compile(needing)
