"""Trim and case-fold texts: one rule for contracts and data."""

from __future__ import annotations

import unicodedata

BLANKS = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u180e"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b"
    "\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
)
"""Unicode's White_Space, and characters that show nothing: the separators of ASCII, U+180E, the
zero-width space, the word joiner, and the byte order mark, which joined files have in the middle.
"""

_DOT_ABOVE = "\u0307"


def fold(text: str) -> str:
    """Fold a text for comparison: no outer blanks, no case, canonically composed.

    Unicode's canonical caseless match (Unicode Standard, D145). Beyond it, the Turkish dotted and
    dotless i are one letter, since upper case and lower case pair them differently by language.
    """
    decomposed = unicodedata.normalize("NFD", text.strip(BLANKS)).casefold()
    dotless = unicodedata.normalize("NFD", decomposed).replace(f"i{_DOT_ABOVE}", "i")
    return unicodedata.normalize("NFC", dotless.replace("\u0131", "i"))
