"""Months by their names, in the languages that write December as an example does."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

TABLE = files("kpi").joinpath("contract/month_names.tsv")
"""Facts from Unicode's CLDR that both counts read: language, then the names of twelve months."""

WORD = r"[^\d\s.,:/_+()-]+(?:\.[^\d\s.,:/_+()-]+)*(?:\.(?=\s|$))?"
"""A word of an example, with the points of an abbreviation."""


@cache
def _table() -> list[list[list[str]]]:
    lines = TABLE.read_text("utf-8").split("\n")
    rows = [line.split("\t")[1:] for line in lines if line and line[0] != "#"]
    return [[cell.split("|") for cell in row] for row in rows]


def _bare(text: str) -> str:
    kept = unicodedata.normalize("NFC", text).lower().replace(".", "").replace("\u0307", "")
    return kept.replace("\u0131", "i").replace("\u03c2", "\u03c3")


def _shorter(name: str) -> Iterator[str]:
    """Cut a name to three characters and more, with its accents and, if it is Latin, without."""
    forms = [name]
    letters = [unicodedata.normalize("NFKD", letter) for letter in name]
    if all(sum(part.isascii() for part in parts) == 1 for parts in letters):
        forms.append("".join(part for parts in letters for part in parts if part.isascii()))
    for form in forms:
        yield from (form[:end] for end in range(3, len(form) + 1))


def _reads(text: str, languages: list[list[list[str]]]) -> set[int]:
    """Find the months that a text may be: as a name, else as the beginning of one."""
    exact = {
        at for names in languages for at, of in enumerate(names, 1) for one in of if one == text
    }
    return exact or {
        at
        for names in languages
        for at, of in enumerate(names, 1)
        for one in of
        if text in _shorter(one)
    }


@cache
def _languages(december: str) -> list[list[list[str]]]:
    exact = [names for names in _table() if december in names[11]]
    return exact or [names for names in _table() if _reads(december, [names]) == {12}]


def is_december(text: str) -> bool:
    """Whether a part of an example is the name of its month."""
    return bool(_languages(_bare(text)))


@cache
def number_of_month(text: str, example: str) -> int:
    """Read the name of a month.

    Raises:
        ValueError: The languages of the example have no month of this name.
    """
    december = next(one for one in re.findall(WORD, example) if is_december(one))
    found = _reads(_bare(text), _languages(_bare(december)))
    if len(found) != 1:
        raise ValueError("month")
    return found.pop()
