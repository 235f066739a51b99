"""Which encoding a text is in that is no UTF-8: by its letters, and by the words of its header."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from kpi.inference.headers import languages_of, meaning_of

SAMPLE_BYTES = 2**16
"""Bytes that are weighed: a header and some hundreds of rows."""

HEADER_LINES = 20
"""Lines that the header may be among."""

CONTEXT_WEIGHT, LANGUAGE_WEIGHT = 2.0, 1.0
"""Weight of known words with letters beyond ASCII, and of the language of the other words."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An encoding, and what its texts look like.

    Attributes:
        name: For the contract.
        languages: ISO 639 codes of the languages that it is used for.
        weigh: Weight of a run of letters, 1 for one that is as expected, below 0 for one that no
            language writes.
        prior: Weight of the encoding itself, below 0 for one that is rare today.
    """

    name: str
    languages: frozenset[str]
    weigh: Callable[[str], float]
    prior: float = 0.0


def _latin(usual: str) -> Callable[[str], float]:
    letters = frozenset(usual + usual.upper())

    def weigh(word: str) -> float:
        """Weigh a word by its letters beyond ASCII: few, of the usual ones, in one case."""
        beyond = [one for one in word if not one.isascii()]
        if any(not one.isalpha() for one in beyond):
            return -2.0
        if any("LATIN" not in unicodedata.name(one, "") for one in beyond):
            return -2.0
        if len(beyond) > 2 and len(beyond) > len(word) / 2:
            return -1.0
        if re.search(r"[a-z][^\W\d_]*", word) and any(one.isupper() for one in word[1:]):
            return -1.0
        return sum(1.0 if one in letters else 0.2 for one in beyond) / len(beyond)

    return weigh


def _script(name: str) -> Callable[[str], float]:
    def weigh(word: str) -> float:
        """Weigh a word by whether all its letters are of one script."""
        scripts = [unicodedata.name(one, "").startswith(name) for one in word]
        if not all(scripts):
            return -1.0
        if any(one.isupper() for one in word[1:]) and not word.isupper():
            return -0.5
        return 1.0

    return weigh


def _is_common_kanji(one: str, codec: str) -> bool:
    """Whether a character is of the more frequent half of a national standard."""
    try:
        code = one.encode(codec)
    except UnicodeEncodeError:
        return False
    if len(code) != 2:
        return False
    lead = code[0]
    if codec == "shift_jis":
        return lead <= 0x98  # JIS X 0208, level 1: rows 16 to 47
    if codec == "gb2312":
        return 0xB0 <= lead <= 0xD7  # GB 2312, level 1
    return 0xA4 <= lead <= 0xC6  # Big5, level 1


def _characters(codec: str, script: str) -> Callable[[str], float]:
    def weigh(word: str) -> float:
        """Weigh a word by the share of its characters that are frequent ones."""
        weights = []
        for one in word:
            name = unicodedata.name(one, "")
            if one.isascii():
                continue
            if name.startswith("HALFWIDTH") or not one.isalnum():
                weights.append(-1.0)
            elif script and name.startswith(("KATAKANA", script)):
                weights.append(1.2)
            elif name.startswith("CJK UNIFIED"):
                weights.append(1.0 if _is_common_kanji(one, codec) else -0.3)
            else:
                weights.append(-0.5)
        return sum(weights) / max(len(weights), 1)

    return weigh


WESTERN = frozenset({"de", "fr", "es", "it", "nl", "sv", "da", "nb", "fi", "pt", "ca", "id"})

CANDIDATES = (
    Candidate(
        name="cp1252",
        languages=WESTERN,
        weigh=_latin("äöüßéèêëàâçîïôûùñáíóúåæøãõìòœºª"),
    ),
    Candidate(
        name="cp1250",
        languages=frozenset({"pl", "cs", "sk", "hu", "ro", "sl", "hr"}),
        weigh=_latin("ąćęłńóśźżáčďéěíňřšťúůýžöőüűăâîşţđĺľŕôä"),
        prior=-0.1,
    ),
    Candidate(name="cp1254", languages=frozenset({"tr"}), weigh=_latin("çğıöşüâîû"), prior=-0.2),
    Candidate(
        name="latin-1", languages=WESTERN, weigh=_latin("äöüßéèêëàâçîïôûùñáíóúåæø"), prior=-0.1
    ),
    Candidate(
        name="cp850", languages=WESTERN, weigh=_latin("äöüßéèêëàâçîïôûùñáíóúåæø"), prior=-1.0
    ),
    Candidate(
        name="cp1251",
        languages=frozenset({"ru", "uk", "bg"}),
        weigh=_script("CYRILLIC"),
        prior=-0.2,
    ),
    Candidate(name="cp1253", languages=frozenset({"el"}), weigh=_script("GREEK"), prior=-0.2),
    Candidate(
        name="cp932",
        languages=frozenset({"ja"}),
        weigh=_characters("shift_jis", "HIRAGANA"),
        prior=-0.5,
    ),
    Candidate(
        name="gb18030", languages=frozenset({"zh"}), weigh=_characters("gb2312", ""), prior=-0.5
    ),
    Candidate(
        name="cp949", languages=frozenset({"ko"}), weigh=_characters("euc_kr", "HANGUL"), prior=-0.5
    ),
    Candidate(name="big5", languages=frozenset({"zh"}), weigh=_characters("big5", ""), prior=-0.5),
)
"""Encodings of Windows and DOS that spreadsheets and tills write; the first of equals is taken."""


def find_encoding(head: bytes) -> str:
    """Find the encoding of a text that is no UTF-8; `latin-1`, which reads all, where none fits."""
    end = head.rfind(b"\n", 0, SAMPLE_BYTES) + 1
    sample = head[: end or len(head)]
    found: list[tuple[float, str]] = []
    for one in CANDIDATES:
        try:
            text = sample.decode(one.name)
            head.decode(one.name)
        except UnicodeDecodeError:
            if not _is_cut_alone(head, one.name):
                continue
            text = sample.decode(one.name, "ignore")
        found.append((_weigh(text, one), one.name))
    if not found:
        return "latin-1"
    return max(found, key=lambda one: one[0])[1]


def _is_cut_alone(head: bytes, name: str) -> bool:
    """Whether only a character at the end of the bytes, which may be cut, is no text."""
    try:
        head.decode(name)
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 4 and error.end == len(head)
    return True


def _weigh(text: str, candidate: Candidate) -> float:
    """Weigh a text: its words beyond ASCII, then the known words of its header and their language.

    Signs such as those of currencies and typography say nothing: all encodings have some.
    """
    bare = _SIGNS.sub(" ", text)
    words = [one for one in re.findall(_WORD, bare) if not one.isascii()]
    weight = sum(map(candidate.weigh, words)) / len(words) if words else 1.0
    lines = [re.split(r"[,;|\t]", line) for line in text.splitlines()[:HEADER_LINES]]
    return candidate.prior + weight + max(_weigh_header(one, candidate) for one in lines)


_WORD = r"[^\s,;|\t\"'0-9._()/:%-]+"

_QUOTES = (
    "\u00a0\u00ab\u00bb\u00b4\u2013\u2014\u2018\u2019\u201c\u201d\u201e\u2026\u2039\u203a\u2122"
)
"""Blanks, dashes and quotation marks, which stand beside letters."""

_SIGNS = re.compile(
    "[" + _QUOTES + "]|(?<![^\\W\\d_])[\u20ac\u00a1-\u00bf\u00d7\u2020\u2030\u2022](?![^\\W\\d_])"
)
"""These, and signs of currencies and fractions apart from letters."""


def _weigh_header(cells: list[str], candidate: Candidate) -> float:
    """Weigh a line by the letters of known words, and by their languages."""
    texts = [cell.strip(" \"'") for cell in cells if any(one.isalpha() for one in cell)]
    meanings = [meaning_of(one) for one in texts]
    languages = [found for one in meanings for word in one.words if (found := languages_of(word))]
    # English stands in files of all languages.
    languages = [found for found in languages if "en" not in found]
    beyond = [one for one, text in zip(meanings, texts, strict=True) if not text.isascii()]
    letters = sum(len(word) for one in beyond for word in one.words)
    known = letters / max(letters + sum(one.unknown for one in beyond), 1)
    own = sum(bool(found & candidate.languages) for found in languages) / max(len(languages), 1)
    return CONTEXT_WEIGHT * known + LANGUAGE_WEIGHT * own
