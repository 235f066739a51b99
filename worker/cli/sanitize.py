"""Make texts from outside safe for terminals, spreadsheets and logs."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Mapping

SECRET_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
)
"""Environment variables whose values are never shown."""

REDACTED = "***"
MIN_SECRET_CHARACTERS = 8
"""Replacing every occurrence of a shorter value would replace words."""

# User and password of a URL; the query of a web address, which holds the signature of a presigned
# URL; and signed headers, which DynamoDB quotes in its `InvalidSignature` errors.
_USER = re.compile(r"(:/{1,2})[^/?#\s]*@")  # one slash where it was taken for a path
_QUERY = re.compile(r"(https?:/{1,2}[^\s?\"'<>]+\?)[^\s\"'<>]+", re.IGNORECASE)
_SIGNED = re.compile(
    r"\b((?:x-amz-(?:security-token|signature|credential)|authorization|signature|awsaccesskeyid)"
    r"\s*[:=]\s*)[^\n&\"']+",
    re.IGNORECASE,
)

# Control characters but tab and line feed; bidirectional controls (Unicode, UAX #9); and
# surrogates, which no output can encode.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)

_LINE_ENDS = re.compile("[\n\u2028\u2029]")
"""Line ends that `visible` keeps; the others of `str.splitlines` are control characters."""

_FORMULA = frozenset("=+-@")
"""First characters of a formula in spreadsheets, also in full width (OWASP, "CSV Injection")."""

_IGNORED_CATEGORIES = frozenset(("Cc", "Cf", "Zl", "Zp", "Zs"))
"""Unicode categories that some spreadsheets skip: controls, blanks, characters of no width."""


def without_secrets(text: str) -> str:
    """Replace keys, tokens, signatures and passwords by `***`."""
    for name in SECRET_VARIABLES:
        value = os.environ.get(name, "")
        if len(value) >= MIN_SECRET_CHARACTERS:
            text = text.replace(value, REDACTED)
    text = _USER.sub(rf"\1{REDACTED}@", text)
    text = _QUERY.sub(rf"\1{REDACTED}", text)
    return _SIGNED.sub(rf"\1{REDACTED}", text)


def visible(text: str) -> str:
    """Escape characters that a terminal would act on instead of showing them."""
    return _CONTROLS.sub(lambda found: _escape(found.group()), text)


def one_line(text: str) -> str:
    """Escape line ends too: a text from outside must not begin a line of its own."""
    return _LINE_ENDS.sub(lambda found: _escape(found.group()), visible(text))


def json_line(value: Mapping[str, object]) -> str:
    """Write JSON in one line by the count of every reader, with nothing that a terminal acts on."""
    text = json.dumps(value, ensure_ascii=False)
    for pattern in (_CONTROLS, _LINE_ENDS):
        text = pattern.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
    return text


def spreadsheet_cell(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet could take for a formula.

    Also before one that begins with an apostrophe, so that removing one restores the text.
    """
    first = next((one for one in text if one not in "\"'" and not _is_ignored(one)), "")
    if unicodedata.normalize("NFKC", first)[:1] in _FORMULA or text[:1] in ("\t", "\r", "\n", "'"):
        return f"'{text}"
    return text


def _is_ignored(character: str) -> bool:
    return unicodedata.category(character) in _IGNORED_CATEGORIES


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
