"""Texts from outside, made safe for where they are shown: terminals, spreadsheets, logs."""

from __future__ import annotations

import os
import re
import unicodedata

SECRET_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
)
"""Environment variables whose values are never shown."""

HIDDEN = "***"
SHORTEST_SECRET = 8
"""Characters; hiding every occurrence of a shorter value would hide words."""

# User and password of a URL; the query of a web address, where signatures of presigned URLs stand;
# and signed headers: DynamoDB quotes them back to whoever signs wrongly (`InvalidSignature`).
_USER = re.compile(r"(:/{1,2})[^/?#\s]*@")  # one slash where it was taken for a path
_QUERY = re.compile(r"(https?:/{1,2}[^\s?\"'<>]+\?)[^\s\"'<>]+", re.IGNORECASE)
_SIGNED = re.compile(
    r"\b((?:x-amz-(?:security-token|signature|credential)|authorization|signature|awsaccesskeyid)"
    r"\s*[:=]\s*)[^\n&\"']+",
    re.IGNORECASE,
)

# Control characters but tab and line feed; those that change the direction of what follows them
# (Unicode, UAX #9); and halves of characters, which no output can encode.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)

_FORMULA = frozenset("=+-@")
"""What spreadsheets begin a formula with, also in full width (OWASP, "CSV Injection")."""

_PASSED_OVER = frozenset(("Cc", "Cf", "Zl", "Zp", "Zs"))
"""Unicode categories of what some of them pass over: controls, blanks, what has no width."""


def without_secrets(text: str) -> str:
    """The text with keys, tokens, signatures and passwords replaced by `***`."""
    for name in SECRET_VARIABLES:
        value = os.environ.get(name, "")
        if len(value) >= SHORTEST_SECRET:
            text = text.replace(value, HIDDEN)
    text = _USER.sub(rf"\1{HIDDEN}@", text)
    text = _QUERY.sub(rf"\1{HIDDEN}", text)
    return _SIGNED.sub(rf"\1{HIDDEN}", text)


def visible(text: str) -> str:
    """The text with escapes for what would act on a terminal instead of being read on it."""
    return _UNSEEN.sub(lambda found: _escaped(found.group()), text)


def spreadsheet_cell(text: str) -> str:
    """The text with an apostrophe before it where a spreadsheet could take it for a formula.

    Also where it begins with an apostrophe: so whoever takes one away has the text again.
    """
    first = next((one for one in text if one not in "\"'" and _is_seen(one)), "")
    if unicodedata.normalize("NFKC", first)[:1] in _FORMULA or text[:1] in ("\t", "\r", "\n", "'"):
        return f"'{text}"
    return text


def _is_seen(character: str) -> bool:
    return unicodedata.category(character) not in _PASSED_OVER


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
