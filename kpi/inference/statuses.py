"""Words of statuses: which say that an order came back, and which that there was no sale."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from itertools import chain

from kpi.contract.folding import fold

STATUSES = "statuses.toml"
"""Data file of this package: meaning -> language -> words and their source."""


@cache
def _words() -> dict[str, str]:
    text = files(__package__).joinpath(STATUSES).read_text(encoding="utf-8")
    return {
        fold(word): meaning
        for meaning, languages in tomllib.loads(text).items()
        for entry in chain.from_iterable(languages.values())
        for word in entry["words"]
    }


def meaning_of_status(text: str) -> str | None:
    """Tell `returned`, `no_sale` or `sale`; None for a word that is not known."""
    return _words().get(fold(text).replace("_", " ").replace("-", " "))


def is_known_status(text: str) -> bool:
    """Whether a text is a known status of an order."""
    return meaning_of_status(text) is not None
