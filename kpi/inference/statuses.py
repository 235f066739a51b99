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

STATUSES = "statuses.toml"
"""Data file of this package: meaning -> language -> words and their source."""


@cache
def _words() -> dict[str, str]:
    text = files(__package__).joinpath(STATUSES).read_text(encoding="utf-8")
    return {
        plain(word): meaning
        for meaning, languages in tomllib.loads(text).items()
        for entry in chain.from_iterable(languages.values())
        for word in entry["words"]
    }


def meaning_of_status(text: str) -> str | None:
    """Tell `returned`, `no_sale` or `sale`; None for a text that is not known.

    A text of several words means what one of them says of its own, as `Retour ontvangen`.
    """
    bare = plain(text).replace("_", " ").replace("-", " ")
    known = _words().get(bare)
    if known is not None:
        return known
    parts = re.findall(r"[^\W\d_]+", bare)
    if NEGATIONS.intersection(parts):
        return None
    found = {_words().get(part) for part in parts} | set(_inside(bare))
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
