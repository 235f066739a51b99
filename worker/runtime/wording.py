"""Word numbers of things in messages."""

from __future__ import annotations


def counted(count: int, singular: str, plural: str = "") -> str:
    """Return a number with its noun: `1 row`, `2,000 rows`.

    Args:
        count: The number.
        singular: What follows 1: a noun, or more of the sentence.
        plural: What follows any other number; by default the noun with `s`.
    """
    return f"{count:,} {singular if count == 1 else plural or f'{singular}s'}"
