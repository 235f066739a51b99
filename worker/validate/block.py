"""Block: consecutive bytes of a stream, as one read gives them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive bytes of a stream, which may repeat the end of the block before.

    Attributes:
        data: The bytes.
        overlap: Leading bytes of `data` that ended the previous block.
    """

    data: bytes
    overlap: int = 0

    @property
    def new(self) -> memoryview:
        """Bytes that no earlier block had."""
        return memoryview(self.data)[self.overlap :]
