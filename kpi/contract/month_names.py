"""Names of the months in the languages of Unicode's CLDR, and what a date written so means."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files

MIN_PREFIX_CHARACTERS = 3
"""Of a name that is cut off, such as `Sep`."""

MAX_ABBREVIATION_CHARACTERS = 4
"""Of most names that are cut off; longer ones are whole."""

DECEMBER = 12

Names = Mapping[str, int]
"""Folded name -> number of the month."""


Spellings = tuple[str, ...]
"""Names of December that are tried in turn."""

MAX_SPELLINGS = 4


class AmbiguousNameError(ValueError):
    """A name of December of languages in which another name means two months."""


_FOLDED = {ord("."): None, 0x307: None, 0x131: "i", 0x3C2: "\u03c3"}
"""Points, the dot above and the dotless letter of Turkish, and the last sigma of a word."""


def fold(name: str) -> str:
    """Write a name in lower case, without points; letters that differ by case alone are one."""
    lower = unicodedata.normalize("NFC", name).lower()
    return lower.translate(_FOLDED)


@cache
def names_by_language() -> dict[str, dict[str, int]]:
    """Read the names of each language."""
    lines = files("kpi.contract").joinpath("month_names.tsv").read_text("utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    return {
        language: {name: at for at, cell in enumerate(months, 1) for name in cell.split("|")}
        for language, *months in rows
    }


@cache
def names_like(december: str) -> dict[str, int]:
    """Merge the names of all languages that write December so; empty where none does.

    Names without accents and cut off names are added, where they mean one month.

    Raises:
        AmbiguousNameError: A name means two months in these languages.
    """
    name = fold(december)
    known = names_by_language()
    languages = [one for one, names in known.items() if names.get(name) == DECEMBER]
    languages = languages or [
        one for one, names in known.items() if _derived(names).get(name) == DECEMBER
    ]
    merged: dict[str, int] = {}
    for language in languages:
        for text, month in known[language].items():
            if merged.setdefault(text, month) != month:
                raise AmbiguousNameError(", ".join(languages))
    return merged | {text: month for text, month in _derived(merged).items() if text not in merged}


def _derived(names: Names) -> dict[str, int]:
    """Make names without accents and beginnings of names, those alone that mean one month."""
    months: dict[str, set[int]] = {}
    for name, month in names.items():
        for text in _variants(name):
            months.setdefault(text, set()).add(month)
    return {text: min(found) for text, found in months.items() if len(found) == 1}


def _variants(name: str) -> Iterator[str]:
    plain = "".join(one for one in unicodedata.normalize("NFKD", name) if one.isascii())
    for text in {name, plain} if len(plain) == len(name) else {name}:
        for length in range(MIN_PREFIX_CHARACTERS, len(text) + 1):
            yield text[:length]


def spellings_of(names: Collection[str]) -> list[Spellings]:
    """List what December is called where all of some names are read, for each reading of them.

    English comes first, then languages that have the names as they are. Languages that read them
    alike are taken together, as the names to come may be of each.
    """
    folded = {fold(name) for name in names}
    known = names_by_language()
    if folded <= known["en"].keys():
        return [("Dec" if folded <= {name[:3] for name in known["en"]} else "December",)]
    own = [of for of in known.values() if folded <= of.keys()]
    found: dict[tuple[int, ...], set[str]] = {}
    for of in own or (_derived(of) | of for of in known.values()):
        if folded <= of.keys():
            reading = tuple(of[name] for name in sorted(folded))
            spelling = _spelling(of, {name: of[name] for name in folded})
            found.setdefault(reading, set()).update(spelling)
    return [_compatible(some) for some in found.values() if some]


def _compatible(decembers: Collection[str]) -> Spellings:
    """Choose names of December, of most languages first, that do not contradict each other."""
    chosen: list[str] = []
    for name in sorted(sorted(decembers), key=lambda one: -len(names_like(one))):
        known = names_in(chosen)
        if all(known.get(text, month) == month for text, month in names_like(name).items()):
            chosen.append(name)
    return tuple(chosen[:MAX_SPELLINGS])


def names_in(decembers: Iterable[str]) -> dict[str, int]:
    """Merge the names of languages; those of the first December count."""
    merged: dict[str, int] = {}
    for december in decembers:
        merged = names_like(december) | merged
    return merged


def _spelling(of_language: Names, wanted: Names) -> list[str]:
    """Choose a language's name of December: as long as the names are, and of no other reading."""
    is_wide = max(map(len, wanted)) > MAX_ABBREVIATION_CHARACTERS
    decembers = sorted((name for name, month in of_language.items() if month == DECEMBER), key=len)
    for name in (decembers[-1], *decembers[:-1]) if is_wide else decembers:
        try:
            like = names_like(name)
        except AmbiguousNameError:
            continue
        if all(like.get(text) == month for text, month in wanted.items()):
            return [name]
    return []


NAME_PATTERN = "[^0-9\\s\u00a0\u202f.,/_-][^0-9\\s\u00a0\u202f,/_-]*"
"""Text that may be a month's name, whatever its script, for `re` and RE2."""


@cache
def december_names() -> frozenset[str]:
    """Collect the folded names of December in all languages."""
    return frozenset(
        name
        for language in names_by_language().values()
        for known in (language, _derived(language))
        for name, month in known.items()
        if month == DECEMBER
    )
