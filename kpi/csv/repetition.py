"""Repeat a part of a pattern without backtracking, on every release of Python 3.11."""

from __future__ import annotations


def repeated(part: bytes) -> bytes:
    """Return a pattern that matches a part as often as it can, and gives nothing back.

    CPython before 3.11.5, which Debian 12 has, matches wrongly where what is repeated possessively
    can backtrack itself (https://github.com/python/cpython/issues/106052). In an atomic group it
    cannot.
    """
    return rb"(?:(?>" + part + rb"))*+"
