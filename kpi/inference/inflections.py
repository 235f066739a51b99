"""Forms of one word: cases, numbers and genders, of languages that inflect their words."""

from __future__ import annotations

import tomllib
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files

MIN_STEM = 4
"""Letters that two forms of a word share at least; shorter words have too many neighbours."""

TURKISH_POSSESSIVES = frozenset("iu")
"""Endings of a word that another one stands before, as in `stok grubu`, without accents."""

ENDINGS_FILE = "endings.toml"
"""Data file of this package: endings by script, and where they can be looked up."""


@cache
def _endings() -> tuple[str, ...]:
    """List endings without accents, the longest first."""
    table = _table()
    found = {plain for name in ("latin", "cyrillic", "greek") for plain in table[name].split()}
    return tuple(sorted(found, key=lambda one: (-len(one), one)))


@cache
def _fleeting() -> frozenset[str]:
    return frozenset(_table()["fleeting"].split())


@cache
def _table() -> dict[str, str]:
    return tomllib.loads(files(__package__).joinpath(ENDINGS_FILE).read_text(encoding="utf-8"))


SOFT = {"b": "p", "d": "t", "g": "k"}
"""Consonants before a Turkish ending -> those at the end of the bare word: grubu, grup."""


def stems_of(word: str) -> Iterator[str]:
    """Yield the stems of a word without accents: it, and it without each ending."""
    yield word
    for ending in _endings():
        if word.endswith(ending) and len(word) - len(ending) >= MIN_STEM:
            stem = word[: -len(ending)]
            yield stem
            if stem[-1] in SOFT and ending in TURKISH_POSSESSIVES:
                yield stem[:-1] + SOFT[stem[-1]]


def forms_by_stem(words: Iterable[str]) -> dict[str, frozenset[str]]:
    """Map the stems of known words to these."""
    found: dict[str, set[str]] = {}
    for word in words:
        if " " in word or len(word) < MIN_STEM or not is_inflected(word):
            continue
        for stem in (*stems_of(word), *_without_fleeting(word)):
            found.setdefault(stem, set()).add(word)
    return {stem: frozenset(known) for stem, known in found.items()}


def _without_fleeting(word: str) -> Iterator[str]:
    short = word[:-2] + word[-1]
    is_closed = word[-1] not in _fleeting() and word[-3] not in _fleeting()
    if word[-2] in _fleeting() and is_closed and len(short) >= MIN_STEM:
        yield short


def is_inflected(word: str) -> bool:
    """Whether the letters of a word are of a script whose languages inflect words by endings."""
    names = (unicodedata.name(one, "") for one in word)
    return all(one.startswith(("LATIN", "CYRILLIC", "GREEK")) for one in names)
