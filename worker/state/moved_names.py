"""Names that files have had: a folder that was moved as a whole keeps the names in it."""

from __future__ import annotations

from worker.state.upload import Name

MAX_MOVES = 1_000
"""Moves of one name that are followed."""


class MovedNames:
    """Follows names back to the first one."""

    def __init__(self) -> None:
        self._moves: dict[Name, tuple[int, Name]] = {}

    def add(self, sequence: int, name: Name, former: Name) -> None:
        """Add that a file was moved; of several moves to one name, the first one stands."""
        if self.first(former) != name:  # else it came back
            self._moves.setdefault(name, (sequence, former))

    def names(self) -> list[Name]:
        """Return the names that files were moved to."""
        return list(self._moves)

    def first(self, name: Name, up_to: int | None = None) -> Name:
        """Return the first name of a file, by the moves up to a sequence; None for all."""
        return self._follow(name, up_to)[0]

    def moves(self, name: Name) -> int:
        """Return how often a file was moved before it had a name."""
        return self._follow(name, None)[1]

    def _follow(self, name: Name, up_to: int | None) -> tuple[Name, int]:
        for moves in range(MAX_MOVES):
            sequence, former = self._moves.get(name, (0, None))
            if former is None or (up_to is not None and sequence > up_to):
                return name, moves
            name = former
        return name, MAX_MOVES
