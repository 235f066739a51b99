"""Answers of DynamoDB that the emulators never give."""

from __future__ import annotations

import base64
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from tests.contracts.dynamodb.workers import DAY, QUICK
from tests.contracts.states import rows
from tests.support.emulators import Emulator
from tests.support.faults import answering
from tests.support.samples import day_kpis, entry
from worker.errors import StoreError
from worker.state import Effect, Outcome
from worker.state.dynamodb.store import DynamoDBState


def canned(*answers: tuple[int, dict[str, Any]]) -> Callable[[str], tuple[str, bytes]]:
    """Answer one request after the other with these statuses and JSON bodies."""
    left = list(answers)

    def answer(_: str) -> tuple[str, bytes]:
        status, fields = left.pop(0)
        body = orjson.dumps(fields)
        return f"{status} Answer\r\nContent-Length: {len(body)}", body

    return answer


def cancelled(*codes: str) -> tuple[int, dict[str, Any]]:
    return 400, {
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "CancellationReasons": [{"Code": code, "Message": f"{code} it was"} for code in codes],
    }


def failed(code: str, status: int = 400) -> tuple[int, dict[str, Any]]:
    return status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}"}


def item(kind: str, name: str, **attributes: dict[str, Any]) -> dict[str, Any]:
    return {"kind": {"S": kind}, "id": {"S": name}, **attributes}


HEAD_IS_7 = (200, {"Item": item("head", "head", sequence={"N": "7"})})
NOTHING: tuple[int, dict[str, Any]] = (200, {})


@asynccontextmanager
async def answered(
    monkeypatch: pytest.MonkeyPatch, *answers: tuple[int, dict[str, Any]]
) -> AsyncIterator[DynamoDBState]:
    async with answering(canned(*answers)) as url:
        Emulator(name="canned", endpoint_url=url).use(monkeypatch)
        async with await DynamoDBState.open("shop", retry=QUICK) as state:
            yield state


@pytest.mark.parametrize(
    "answer",
    [
        failed("ProvisionedThroughputExceededException"),
        failed("ThrottlingException"),
        failed("RequestLimitExceeded"),
        failed("InternalServerError", 500),
        failed("SomethingNew", 503),
    ],
)
async def test_a_throttled_call_is_retried(
    monkeypatch: pytest.MonkeyPatch, answer: tuple[int, dict[str, Any]]
) -> None:
    async with answered(monkeypatch, answer, answer, HEAD_IS_7) as state:
        assert await state.head() == 7


async def test_a_call_throttled_for_good_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async with answered(monkeypatch, *[failed("ThrottlingException")] * 6, HEAD_IS_7) as state:
        with pytest.raises(StoreError, match="reading the head: gave up after 6 attempts"):
            await state.head()


@pytest.mark.parametrize(
    "reason", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"]
)
async def test_a_commit_cancelled_by_a_busy_item_is_retried(
    monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    answers = [HEAD_IS_7, cancelled("None", "None", reason), HEAD_IS_7, NOTHING]
    async with answered(monkeypatch, *answers) as state:
        assert await state.commit(entry("a")) == entry("a").at(8)


@pytest.mark.parametrize("reason", ["TransactionConflict", "ConditionalCheckFailed"])
async def test_a_publication_cancelled_by_another_is_retried(
    monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    read = [NOTHING, (200, {"Items": []}), (200, {"Items": []})]
    records: tuple[int, dict[str, Any]] = (200, {"Items": []})  # for the marks of two tables
    marked = [records, NOTHING, NOTHING]
    answers = [*marked, *read, cancelled("None", "None", reason), *read, NOTHING]
    async with answered(monkeypatch, *answers) as state:
        assert await state.publish(day_kpis(DAY), 1) is Outcome.PUBLISHED


async def test_a_wrong_transaction_is_not_retried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with answered(monkeypatch, HEAD_IS_7, cancelled("None", "ValidationError")) as state:
        with pytest.raises(
            StoreError, match=r"committing source object a: .*ValidationError it was"
        ):
            await state.commit(entry("a"))


async def test_unprocessed_keys_of_a_batch_are_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def item(source_id: str) -> dict[str, Any]:
        effect = Effect(as_of=1).to_json().decode()
        return {"kind": {"S": "effect"}, "id": {"S": source_id}, "effect": {"S": effect}}

    left = {"shop-ledger": {"Keys": [{"kind": {"S": "effect"}, "id": {"S": "b"}}]}}
    answers: list[tuple[int, dict[str, Any]]] = [
        (200, {"Responses": {"shop-ledger": [item("a")]}, "UnprocessedKeys": left}),
        (200, {"Responses": {}, "UnprocessedKeys": left}),
        (200, {"Responses": {"shop-ledger": [item("b")]}, "UnprocessedKeys": {}}),
    ]
    async with answered(monkeypatch, *answers) as state:
        assert await state.effects(["a", "b"]) == {"a": Effect(as_of=1), "b": Effect(as_of=1)}


ZIPPED = base64.b64encode(zlib.compress(b"{}")[:-3]).decode()
SOURCE = {"Item": item("source", "a", sequence={"N": "1"})}
ROW = {
    "order_date": {"S": "2025-01-02"},
    "category": {"S": "Books"},
    "daily_revenue": {"N": "one"},
}

DAMAGED: dict[str, tuple[list[dict[str, Any]], Callable[[DynamoDBState], Awaitable[object]]]] = {
    "sequence in ledger item head head": (
        [{"Item": item("head", "head", sequence={"S": "7"})}],
        lambda state: state.head(),
    ),
    "sequence in ledger item source a": (
        [{"Item": item("source", "a")}],
        lambda state: state.find("a"),
    ),
    "entry in ledger item sequence 000000000001": (
        [SOURCE, {"Item": item("sequence", "000000000001", entry={"B": ZIPPED})}],
        lambda state: state.find("a"),
    ),
    "effect in ledger item effect a": (
        [
            {
                "Responses": {"shop-ledger": [item("effect", "a", as_of={"N": "1"})]},
                "UnprocessedKeys": {},
            }
        ],
        lambda state: state.effects(["a"]),
    ),
    "progress record": (
        [
            {
                "Item": item(
                    "kpi_progress", "progress", version={"N": "1"}, progress={"S": '{"a":1}'}
                )
            },
            {"Items": []},
        ],
        lambda state: state.progress(),
    ),
    "guard of 2025-01-02": (
        [{"Items": [item("kpi_guard", "2025-01-02", version={"N": "1"}, claim={"N": "one"})]}],
        lambda state: state.days(),
    ),
    "day of a guard, '2025-02-30',": (
        [
            {
                "Items": [
                    item("kpi_guard", "2025-02-30", version={"N": "1"}, claim={"N": "1"})
                    | {"published": {"M": {}}}
                ]
            }
        ],
        lambda state: state.days(),
    ),
    "row of category_kpis of 2025-01-02": (
        [{"Items": []}, {"Items": [ROW]}],
        lambda state: rows(state, "category_kpis", group="Books"),
    ),
}
"""What is named -> what DynamoDB answers, and what was asked for."""


@pytest.mark.parametrize("named", DAMAGED)
async def test_damaged_items_are_named(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    answers, ask = DAMAGED[named]
    async with answered(monkeypatch, *[(200, fields) for fields in answers]) as state:
        with pytest.raises(StoreError) as error:
            await ask(state)
    assert f"expected a {named} as it was written, got " in str(error.value)
