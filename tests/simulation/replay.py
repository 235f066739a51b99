"""Replay the store operations of a history on a real store, which has to answer as memory does.

A history is run in memory, where every state is checked against the model. What its workers asked
of ledger and KPI tables is noted in the order of its effects, crashes and sleepers included. The
same operations on SQLite and DynamoDB must have the same results: so what holds in memory holds
there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from tests.simulation.backend import Backend
from tests.simulation.history import History
from tests.simulation.world import run_history
from worker.errors import WorkerError
from worker.state import State
from worker.state.memory import MemoryState

OPERATIONS = (
    *("find", "find_staged", "stage", "commit", "adoption", "adopt", "rule", "head", "entries"),
    *("records", "rulings", "record_effects", "effects", "record_sighting", "sightings"),
    *("erasures", "publish", "progress", "advance", "days", "rows"),
)


@dataclass(frozen=True)
class Asked:
    """One operation, and its result or the class of its error."""

    operation: str
    positional: tuple[Any, ...]
    named: dict[str, Any]
    result: Any


class NotedState(MemoryState):
    """Notes what is asked of it.

    Args:
        asked: Receives each operation.
    """

    def __init__(self, asked: list[Asked]) -> None:
        super().__init__()
        self._asked = asked
        self._depth = 0


def _noted(operation: str) -> Callable[..., Any]:
    async def method(self: NotedState, *positional: Any, **named: Any) -> Any:
        # What an operation asks of the state itself is part of it.
        self._depth += 1
        try:
            result = await getattr(MemoryState, operation)(self, *positional, **named)
        except WorkerError as error:
            result = type(error)
            raise
        finally:
            self._depth -= 1
            if not self._depth:
                self._asked.append(Asked(operation, positional, named, result))
        return result

    async def rows(self: NotedState, *positional: Any, **named: Any) -> AsyncIterator[Any]:
        found = [row async for row in MemoryState.rows(self, *positional, **named)]
        self._asked.append(Asked(operation, positional, named, found))
        for row in found:
            yield row

    return rows if operation == "rows" else method


for _operation in OPERATIONS:
    setattr(NotedState, _operation, _noted(_operation))


def operations_of(history: History) -> list[Asked]:
    """Run a history, and return what was asked of its state."""
    asked: list[Asked] = []
    outcome = run_history(history, Backend(state=lambda _: NotedState(asked)))
    assert outcome.violation is None, outcome.violation
    return asked


async def replay(asked: list[Asked], state: State) -> None:
    """Ask a store the same, and compare its answers.

    Raises:
        AssertionError: An answer differs.
    """
    for number, one in enumerate(asked):
        found = await _ask(one, state)
        if one.operation == "days":  # a table that is whole may be absent there
            known = {(day, name): at for day, of in one.result.items() for name, at in of.items()}
            assert found.keys() == one.result.keys(), (number, one, found)
            pairs = {(day, name): at for day, of in found.items() for name, at in of.items()}
            assert pairs.items() <= known.items(), (number, one, found)
        else:
            assert found == one.result, (number, one, found)


async def _ask(one: Asked, state: State) -> Any:
    try:
        answer = getattr(state, one.operation)(*one.positional, **one.named)
        if one.operation == "rows":
            return [dict(row) async for row in answer]
        return await answer
    except WorkerError as error:
        return type(error)
