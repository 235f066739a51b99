"""Blocks: pieces of a stream of bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Block:
    """Some bytes of a stream.

    Attributes:
        data: The bytes.
        again: So many at their beginning ended the block before.
    """

    data: bytes
    again: int = 0
