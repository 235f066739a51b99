"""Meanings of headers: the words of a dozen languages that a header is made of."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import chain

from kpi.inference.inflections import MIN_STEM, forms_by_stem, is_inflected, stems_of

SPELLINGS = ("spellings.toml", "shop_system_spellings.toml")
"""Data files of this package: meaning -> language -> words and their source.

The second is made of translations of public shop systems.
"""

INFLECTED = frozenset(
    {"bg", "bs", "cs", "el", "et", "fi", "hr", "hu", "lt", "lv", "mk", "pl", "ro", "ru"}
    | {"sk", "sl", "sr", "tr", "uk"}
)
"""Languages whose words have cases, so that a header may have another form than the table."""

TOKEN = re.compile(r"[^\W\d_]+|[%#№$€£]")

MIN_PART_LETTERS = 4
"""Letters of a word that is found inside a longer one, such as `nummer` in `Bestellnummer`."""

SHORT_PARTS = frozenset({"id", "no", "nr", "key", "sku", "qty", "sub", "num", "sum"})
"""Shorter words that are found there too, where the rest of it is known words."""


MAX_LETTERS_BETWEEN = 3
"""Letters beside the parts of a compound, such as `s` in `Positionswert`."""


@dataclass(frozen=True)
class Meaning:
    """What a header may mean.

    Attributes:
        words: Known words of it, in order.
        concepts: What these may mean.
        unknown: Letters that belong to no known word.
    """

    words: tuple[str, ...]
    concepts: frozenset[str]
    unknown: int

    def __contains__(self, concept: str) -> bool:
        return concept in self.concepts

    def has(self, *concepts: str) -> bool:
        """Whether it may mean one of some concepts."""
        return not self.concepts.isdisjoint(concepts)


@cache
def _spellings() -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """Map each known word to what it may mean and to its languages."""
    concepts: dict[str, set[str]] = {}
    languages: dict[str, set[str]] = {}
    for name in SPELLINGS:
        text = files(__package__).joinpath(name).read_text(encoding="utf-8")
        for concept, entries in tomllib.loads(text).items():
            for language, known in entries.items():
                for word in chain.from_iterable(entry["words"] for entry in known):
                    key = " ".join(TOKEN.findall(plain(word)))
                    concepts.setdefault(key, set()).add(concept)
                    languages.setdefault(key, set()).add(language)
    return {key: (frozenset(found), frozenset(languages[key])) for key, found in concepts.items()}


@cache
def vocabulary() -> dict[str, frozenset[str]]:
    """Map each known word, without accents, to what it may mean."""
    return {word: concepts for word, (concepts, _) in _spellings().items()}


def means(word: str, concept: str) -> bool:
    """Whether a known word, as `Meaning.words` has it, may mean a concept."""
    return concept in vocabulary().get(word, ())


def languages_of(word: str) -> frozenset[str]:
    """Give the languages of a known word, as `Meaning.words` has it."""
    return _spellings()[word][1] if word in _spellings() else frozenset()


@cache
def _stems() -> dict[str, frozenset[str]]:
    """Map stems to the words of languages with cases."""
    return forms_by_stem(word for word, (_, of) in _spellings().items() if of & INFLECTED)


def _form_of(token: str) -> str | None:
    """Find the known word that a token is a form of; None where several have no common meaning."""
    if len(token) < MIN_STEM or not is_inflected(token):
        return None
    for stem in stems_of(token):
        words = _stems().get(stem, frozenset())
        if words and frozenset.intersection(*(vocabulary()[word] for word in words)):
            return min(words, key=lambda word: (len(vocabulary()[word]), word))
    return None


@cache
def meaning_of(header: str) -> Meaning:
    """Split a header into known words; `OrderLineItem` and `ORDERLINEITEM` are the same."""
    known = vocabulary()
    words: list[str] = []
    unknown = 0
    for token in _with_phrases(TOKEN.findall(plain(_spaced(header)))):
        if token in known:
            words.append(token)
            continue
        parts, rest = _split(token)
        form = _form_of(token) if rest else None
        if form is not None:
            parts, rest = [form], 0
        words += parts
        unknown += rest
    concepts = frozenset(concept for word in words for concept in known[word])
    return Meaning(words=tuple(words), concepts=concepts, unknown=unknown)


@cache
def _phrases() -> dict[str, list[tuple[str, ...]]]:
    """Map the first word of each known phrase to the phrases, the longest first."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for phrase in sorted(vocabulary(), key=lambda one: -one.count(" ")):
        words = tuple(phrase.split())
        if len(words) > 1:
            found.setdefault(words[0], []).append(words)
    return found


def _with_phrases(tokens: Sequence[str]) -> Iterator[str]:
    """Put the words of known phrases together, as of `số lượng`."""
    at = 0
    while at < len(tokens):
        fitting = (
            one
            for one in _phrases().get(tokens[at], ())
            if tuple(tokens[at : at + len(one)]) == one
        )
        phrase = next(fitting, (tokens[at],))
        yield " ".join(phrase)
        at += len(phrase)


_LETTERS = str.maketrans(
    {"\u0131": "i", "\u0142": "l", "\u00f8": "o", "\u00e6": "ae", "\u0111": "d", "\u0153": "oe"}
)
"""Letters that Unicode does not decompose: dotless i, l, o and d with a stroke, ae, oe."""


def tokens_of(header: str) -> frozenset[str]:
    """Words of a header, known or not, without accents."""
    return frozenset(re.findall(r"[^\W\d_]+", plain(_spaced(header))))


def _spaced(header: str) -> str:
    """Put blanks between the words of `OrderLineItem`."""
    return re.sub(r"(?<=[a-zà-ÿ0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", header)


def plain(text: str) -> str:
    """Fold case and leave accents out."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    # Vowels of Thai and Hindi are marks as well, and would part words.
    bare = "".join(one for one in decomposed if unicodedata.category(one)[0] != "M")
    return bare.translate(_LETTERS).strip()


def _split(token: str) -> tuple[list[str], int]:
    """Split a token into known words so that the fewest letters are left: (words, letters left)."""
    known = vocabulary()
    best: list[tuple[int, int, list[str]]] = [(0, 0, [])]
    for end in range(1, len(token) + 1):
        left, count, words = best[end - 1]
        choice = (left + 1, count, words)
        for start in range(end):
            part = token[start:end]
            if part not in known or not _may_be_part(part):
                continue
            left, count, words = best[start]
            choice = min(choice, (left, count + 1, [*words, part]), key=lambda one: one[:2])
        best.append(choice)
    left, _, words = best[-1]
    # Scripts without cases have short words, and no blanks between them.
    if left and any(len(word) < MIN_PART_LETTERS and word.islower() for word in words):
        words = [word for word in words if len(word) >= MIN_PART_LETTERS or not word.islower()]
        left = len(token) - sum(map(len, words))
    is_within = words and not (token.startswith(words[0]) or token.endswith(words[-1]))
    if left > MAX_LETTERS_BETWEEN and is_within and token.islower():
        # The parts of a compound begin or end it.
        return [], len(token)
    return words, left


def _may_be_part(word: str) -> bool:
    if not word.isascii():
        return len(word) > 1 or unicodedata.category(word[0]) == "Lo"
    return len(word) >= MIN_PART_LETTERS or word in SHORT_PARTS or len(word) >= MIN_PART_LETTERS - 1
