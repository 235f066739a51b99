"""Which encoding a text is in that is no UTF-8: by its letters, and by the words of its header."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from kpi.inference.headers import languages_of, meaning_of

SAMPLE_BYTES = 2**16
"""Bytes that are weighed: a header and some hundreds of rows."""

HEADER_LINES = 20
"""Lines that the header may be among."""

WeighWords = Callable[[Sequence[str]], float]

LETTERS = {
    "ca": "àçéèíïóòúü",
    "cs": "áčďéěíňóřšťúůýž",
    "da": "æøå",
    "de": "äöüß",
    "es": "áéíñóúü",
    "et": "šžõäöü",
    "fi": "šžåäö",
    "fr": "àâæçéèêëîïôœùûüÿ",
    "hr": "čćđšž",
    "hu": "áéíóöőúüű",
    "id": "é",
    "is": "áðéíóúýþæö",
    "it": "àéèìîóòùú",
    "lt": "ąčęėįšųūž",
    "lv": "āčēģīķļņšūž",
    "nb": "àéóòôæøå",
    "nl": "áäéëíïóöúü",
    "pl": "ąćęłńóśźż",
    "pt": "áàâãçéêíóòôõú",
    "ro": "ăâîșțşţ",
    "sk": "áäčďéíĺľňóôŕšťúýž",
    "sl": "čšž",
    "sq": "çë",
    "sv": "åäöéà",
    "tr": "çğıİöşüâîû",
}
"""Letters beyond ASCII of a language: the main exemplar characters of Unicode's CLDR, with the
cedillas of Romanian that Windows-1250 has in place of its commas, and the circumflexes of Turkish.
"""

CONTEXT_WEIGHT, LANGUAGE_WEIGHT = 2.0, 1.0
"""Weight of known words with letters beyond ASCII, and of the language of the other words."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An encoding, and what its texts look like.

    Attributes:
        name: For the contract.
        languages: ISO 639 codes of the languages that it is used for.
        weigh: Mean weight of words beyond ASCII, 1 where they are as expected, below 0 where no
            language writes such.
        prior: Weight of the encoding itself, below 0 for one that is rare today.
    """

    name: str
    languages: frozenset[str]
    weigh: WeighWords
    prior: float = 0.0


def _weigh_latin(word: str, letters: frozenset[str]) -> float:
    """Weigh a word by its letters beyond ASCII: few, of one language, in one case."""
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


def _latin(languages: Iterable[str]) -> WeighWords:
    alphabets = [frozenset(LETTERS[one] + LETTERS[one].upper()) for one in sorted(languages)]

    def weigh(words: Sequence[str]) -> float:
        """Weigh words by the letters of the one language that fits them best.

        Words beyond ASCII of one file are mostly of one language, and the letters of several
        languages hide an encoding that has other letters at the same bytes.
        """
        counts = Counter(words)
        return max(
            sum(_weigh_latin(word, letters) * count for word, count in counts.items())
            for letters in alphabets
        ) / len(words)

    return weigh


def _each(weigh: Callable[[str], float]) -> WeighWords:
    return lambda words: sum(map(weigh, words)) / len(words)


def _script(name: str) -> WeighWords:
    def weigh(word: str) -> float:
        """Weigh a word by whether all its letters are of one script."""
        scripts = [unicodedata.name(one, "").startswith(name) for one in word]
        if not all(scripts):
            return -1.0
        if any(one.isupper() for one in word[1:]) and not word.isupper():
            return -0.5
        return 1.0

    return _each(weigh)


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


def _characters(codec: str, script: str) -> WeighWords:
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

    return _each(weigh)


WESTERN = frozenset(
    {"de", "fr", "es", "it", "nl", "sv", "da", "nb", "fi", "pt", "ca", "is", "et", "id"}
)
CENTRAL = frozenset({"pl", "cs", "sk", "hu", "ro", "sl", "hr", "sq"})
BALTIC = frozenset({"et", "lv", "lt"})

CANDIDATES = (
    Candidate(name="cp1252", languages=WESTERN, weigh=_latin(WESTERN)),
    Candidate(name="cp1250", languages=CENTRAL, weigh=_latin(CENTRAL), prior=-0.1),
    Candidate(name="cp1257", languages=BALTIC, weigh=_latin(BALTIC), prior=-0.1),
    Candidate(name="cp1254", languages=frozenset({"tr"}), weigh=_latin({"tr"}), prior=-0.2),
    Candidate(name="latin-1", languages=WESTERN, weigh=_latin(WESTERN), prior=-0.1),
    Candidate(name="iso8859-2", languages=CENTRAL, weigh=_latin(CENTRAL), prior=-0.2),
    Candidate(name="cp850", languages=WESTERN, weigh=_latin(WESTERN), prior=-1.0),
    Candidate(
        name="cp1251",
        languages=frozenset({"ru", "uk", "bg"}),
        weigh=_script("CYRILLIC"),
        prior=-0.2,
    ),
    Candidate(name="cp1253", languages=frozenset({"el"}), weigh=_script("GREEK"), prior=-0.2),
    Candidate(name="cp1255", languages=frozenset({"he"}), weigh=_script("HEBREW"), prior=-0.2),
    Candidate(name="cp1256", languages=frozenset({"ar"}), weigh=_script("ARABIC"), prior=-0.2),
    Candidate(name="cp874", languages=frozenset({"th"}), weigh=_script("THAI"), prior=-0.2),
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
    weight = candidate.weigh(words) if words else 1.0
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
