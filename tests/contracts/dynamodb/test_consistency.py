"""Every read is strongly consistent; the requests are checked, as emulators always are.

The protocol depends on it. A writer that read an old guard, head or record would rely on a past
state (`worker.state.dynamodb.kpis`). A ledger read late would miss source objects.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.contracts.dynamodb.workers import DAY, large_day
from tests.contracts.states import rows
from tests.support.samples import adoption, day_kpis, entry, erasure, ruling
from worker.errors import HeadMoved
from worker.state import Effect, Lease, Progress, State
from worker.state.dynamodb.many import FEW_NAMES
from worker.state.dynamodb.store import DynamoDBState

NO_READS = {"create_tables", "close", "record_effects", "record_sighting"}
"""Methods that read no item: effects and sightings are put, tables described."""

READS = {"Scan", "GetItem", "Query", "BatchGetItem"}
WRITES = {"PutItem", "TransactWriteItems"}


async def erase_too_late(state: DynamoDBState) -> None:
    """What tells it from its own lost answer is read."""
    with pytest.raises(HeadMoved):
        await state.erase(erasure(), head=0)


METHODS: dict[str, Callable[[DynamoDBState], Awaitable[object]]] = {
    "find": lambda state: state.find("a"),
    # The second one reads the entry that is there already.
    "commit": lambda state: state.commit(entry("a")),
    "stage": lambda state: state.stage(replace(entry("b"), staged=True)),
    "find_staged": lambda state: state.find_staged("a", "other"),
    "head": lambda state: state.head(),
    "adoption": lambda state: state.adoption(),
    "adopt": lambda state: state.adopt(adoption("other"), replaces=0),
    "rule": lambda state: state.rule(ruling("a")),
    "erase": erase_too_late,
    "erasures": lambda state: state.erasures(),
    "rewritten": lambda state: state.rewritten("1" * 16),
    "erasure_key": lambda state: state.erasure_key(b"second"),
    "entries": lambda state: state.entries(),
    "records": lambda state: state.records(),
    "pointers": lambda state: state.pointers([*"abc", *map(str, range(FEW_NAMES))]),
    "entries_at": lambda state: state.entries_at([1]),
    "rulings": lambda state: state.rulings(),
    "sightings": lambda state: state.sightings(["a"]),
    "effects": lambda state: state.effects(["a", "b"]),
    "publish": lambda state: state.publish(large_day(3), 3),
    "progress": lambda state: state.progress(),
    "advance": lambda state: state.advance(Progress(published={"order_kpis": 2})),
    "lease": lambda state: state.lease(),
    # What tells it from its own lost answer is read.
    "put_lease": lambda state: state.put_lease(Lease(owner="late", version=3)),
    "days": lambda state: state.days(),
    "publication_times": lambda state: state.publication_times(),
    "marks": lambda state: state.marks(),
    "mark_again": lambda state: state.mark_again("digest", 1),
    "delete_unguarded": lambda state: state.delete_unguarded(),
    "rows": lambda state: rows(state, "order_kpis"),
}


class Requests:
    """Record the requests of a client."""

    def __init__(self, state: DynamoDBState) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        state.database.client.meta.events.register("before-call.dynamodb", self._note)

    def _note(self, model: Any, params: dict[str, Any], **_: object) -> None:
        self.sent.append((model.name, json.loads(params["body"])))

    def eventual(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the reads that are not strongly consistent."""
        return [(name, asked) for name, asked in self.sent if not _is_consistent(name, asked)]


def _is_consistent(name: str, asked: dict[str, Any]) -> bool:
    if name in WRITES:
        return True
    assert name in READS, f"{name}: is it a read, and is it consistent?"
    parts = list(asked["RequestItems"].values()) if name == "BatchGetItem" else [asked]
    return all(part.get("ConsistentRead") is True for part in parts)


@pytest.fixture
async def filled(state: DynamoDBState) -> DynamoDBState:
    """Fill everything that can be read."""
    await state.commit(entry("a"))
    await state.record_effects({"a": Effect(as_of=1)})
    await state.publish(day_kpis(DAY), 1)
    await state.advance(Progress(published={"order_kpis": 1}))
    return state


def test_every_method_of_a_state_is_checked() -> None:
    methods = {name for name, _ in inspect.getmembers(State, inspect.isfunction)}
    public = {name for name in methods if not name.startswith("_")}
    assert public == METHODS.keys() | NO_READS


@pytest.mark.parametrize("method", METHODS)
async def test_state_reads_are_strongly_consistent(filled: DynamoDBState, method: str) -> None:
    requests = Requests(filled)
    await METHODS[method](filled)
    assert {name for name, _ in requests.sent} & READS
    assert requests.eventual() == []


@pytest.mark.parametrize("table", ["category_kpis", "product_kpis"])
async def test_rows_with_groups_are_strongly_consistent(filled: DynamoDBState, table: str) -> None:
    requests = Requests(filled)
    await rows(filled, table, first=DAY, last=DAY)
    assert [asked["TableName"].rpartition("-")[2] for _, asked in requests.sent] == [
        "ledger",
        f"{table}_v2",
    ]
    assert requests.eventual() == []


async def test_only_one_group_is_eventually_consistent(filled: DynamoDBState) -> None:
    """DynamoDB refuses consistent reads of a secondary index.

    Rows of one category or product are only shown; `KpiStore.rows` says so.
    """
    requests = Requests(filled)
    assert await rows(filled, "category_kpis", group="Jeans")
    ((name, asked),) = requests.eventual()
    # Beside it the guards of the days, which say `as_of`.
    assert [one for one, _ in requests.sent] == ["Query", "Query"]
    assert name == "Query"
    assert asked["IndexName"] == "by_category"
    assert "ConsistentRead" not in asked


async def test_every_batch_of_keys_is_strongly_consistent(filled: DynamoDBState) -> None:
    requests = Requests(filled)
    await filled.effects([f"{number:03d}" for number in range(250)])
    assert [name for name, _ in requests.sent] == ["BatchGetItem"] * 3
    assert requests.eventual() == []
