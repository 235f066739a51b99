"""The lease on the transforms of a shop: who runs one now, so that others join it.

It decides nothing that must be right. Whoever holds none, or has lost it, writes on the conditions
of every other transform, and two at once publish what one would. So nothing compares clocks: who
waits for the holder takes over once the lease was not renewed for its time, by the waiter's clock.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """A state of the record.

    Attributes:
        owner: Who holds it; empty where nobody does.
        version: Number of writes so far; each is one more.
        seconds: Time without a renewal after which others take over.
    """

    owner: str = ""
    version: int = 0
    seconds: float = 0.0

    def held_by(self, owner: str, seconds: float) -> Lease:
        """Return the next state, with a holder."""
        return Lease(owner=owner, version=self.version + 1, seconds=seconds)

    def released(self) -> Lease:
        """Return the next state, without a holder."""
        return Lease(version=self.version + 1)
