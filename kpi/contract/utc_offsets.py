"""Offsets from UTC that a timestamp may carry: -12:00 to +14:00.

No zone of tzdata has had another one since 1900 (`tests/unit/kpi/contract/test_utc_offsets.py`).
Local mean times of the 19th century reach from -15:56 to +15:14. No export writes them, so an
offset beyond the limits is a damaged value.
"""

from __future__ import annotations

_MINUTES = "(?::?[0-5][0-9])"
_NO_MINUTES = "(?::?00)"


def _offset(quantifier: str) -> str:
    return (
        rf"(?:(?:\+(?:0[0-9]|1[0-3])|-(?:0[0-9]|1[01])){_MINUTES}{quantifier}"
        rf"|(?:\+14|-12){_NO_MINUTES}{quantifier})"
    )


OFFSET_WITH_MINUTES = _offset("")
"""Pattern of `+hh:mm` and `+hhmm`, in the syntax of RE2 and of `re`; it has no named group."""

OFFSET = _offset("?")
"""Pattern of an offset whose minutes may be missing."""
