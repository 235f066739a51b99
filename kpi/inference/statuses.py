"""Words of statuses: which say that an order came back, and which that there was no sale."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import chain

from kpi.inference.headers import plain
from kpi.inference.inflections import forms_by_stem, is_inflected, stems_of

STATUSES = ("statuses.toml", "shop_system_statuses.toml")
"""Data files of this package: meaning -> language -> words and their source.

The second is made of translations of public shop systems; where both have a word, the first counts.
"""

MIN_STEM_LETTERS = 5
"""Letters that two forms of a status share at least."""


@cache
def _words() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in reversed(STATUSES):
        text = files(__package__).joinpath(name).read_text(encoding="utf-8")
        for meaning, languages in tomllib.loads(text).items():
            for entry in chain.from_iterable(languages.values()):
                found |= {_bare(word): meaning for word in entry["words"]}
    return found


def _bare(text: str) -> str:
    return plain(text).replace("_", " ").replace("-", " ")


@cache
def _stems() -> dict[str, frozenset[str]]:
    return forms_by_stem(_words())


def _by_stem(text: str) -> str | None:
    """Tell what another form of a word means, as of another gender; None where stems differ."""
    if " " in text or not is_inflected(text):
        return None
    for stem in stems_of(text):
        known = _stems().get(stem, frozenset()) if len(stem) >= MIN_STEM_LETTERS else frozenset()
        meanings = {_words()[word] for word in known}
        if meanings:
            return meanings.pop() if len(meanings) == 1 else None
    return None


def meaning_of_status(text: str) -> str | None:
    """Tell `returned`, `no_sale` or `sale`; None for a text that is not known.

    A text of several words means what one of them says of its own, as `Retour ontvangen`.
    """
    bare = _bare(text)
    known = _words().get(bare) or _by_stem(bare)
    if known is not None:
        return known
    parts = re.findall(r"[^\W\d_]+", bare)
    if NEGATIONS.intersection(parts):
        return None
    found = {_words().get(part) or _by_stem(part) for part in parts} | set(_inside(bare))
    return next((one for one in ("returned", "no_sale") if one in found), None)


def _inside(text: str) -> Iterator[str]:
    """Yield the meanings of words in a text that has no blanks between words, as of Japanese."""
    if text.isascii():
        return
    for word, meaning in _words().items():
        if len(word) >= MIN_INSIDE and word in text and unicodedata.category(word[0]) == "Lo":
            yield meaning


MIN_INSIDE = 2

NEGATIONS = frozenset(
    {"not", "no", "non", "un", "before", "requested", "request", "window", "policy"}
    | {"nicht", "kein", "keine", "pas", "sans", "sin", "sem", "nao", "nie", "bez", "ne", "не"}
    | {"inte", "ikke", "ei", "geen", "niet", "degil", "angefragt", "eligible"}
)
"""Words by which a status says that something did not happen, or may happen."""


def is_known_status(text: str) -> bool:
    """Whether a text is a known status of an order."""
    return meaning_of_status(text) is not None
