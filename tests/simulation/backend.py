"""What a world is made of: stores, and parts of the worker that tests replace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from unittest.mock import patch

import worker.state.contract_in_force
import worker.state.secret
import worker.transform
import worker.transform.history
import worker.validate.validate_source
from kpi.contract.differences import same_clean_rows
from kpi.contract.loading import parse_contract
from kpi.contract.model import Contract
from tests.simulation.schedule import Scheduler
from worker.objects.memory import MemoryStore
from worker.state.counted import CountedUploads
from worker.state.memory import MemoryState

SECRET = b"s" * 32
"""Of the digests of erased customers, and of the names of index objects."""


@dataclass(frozen=True)
class Backend:
    """The stores of a world; tests of the tests put faulty ones here.

    Attributes:
        state: Makes ledger and KPI tables.
        clean: Makes the store of the clean zone.
        torn: Whether a day may take several transactions.
        counted: Decides which uploads count.
        replaced: Parts of the worker that are others: module, name and what takes its place.
    """

    state: Callable[[Scheduler], MemoryState] = lambda _: MemoryState()
    clean: Callable[[Scheduler], MemoryStore] = lambda _: MemoryStore("clean")
    torn: bool = False
    counted: type[CountedUploads] = CountedUploads
    replaced: tuple[tuple[ModuleType, str, object], ...] = ()


class _Drawn:
    """Takes the place of `secrets`: one that is drawn would make runs of one seed differ."""

    @staticmethod
    def token_bytes(length: int) -> bytes:
        return SECRET[:length]


@lru_cache
def _parse(text: str, *, source: str) -> Contract:
    return parse_contract(text, source=source)


@lru_cache
def _same_clean_rows(one: str, other: str) -> bool:
    return same_clean_rows(_parse(one, source="one"), _parse(other, source="other"))


@contextmanager
def substituted(backend: Backend, clock: object) -> Iterator[None]:
    """Replace parts of the worker within the block.

    Contracts are parsed and compared once for each text: both are pure functions, and took an
    eighth of the time.
    """
    in_force = worker.state.contract_in_force
    with ExitStack() as stack:
        for module, name, other in (
            (worker.validate.validate_source, "time", clock),
            (worker.transform, "time", clock),
            (worker.state.secret, "secrets", _Drawn),
            (worker.transform.history, "CountedUploads", backend.counted),
            (in_force, "parse_contract", _parse),
            (in_force, "same_clean_rows", lambda *both: _same_clean_rows(*(c.text for c in both))),
            *backend.replaced,
        ):
            stack.enter_context(patch.object(module, name, other))
        yield
