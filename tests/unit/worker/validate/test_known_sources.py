"""Known sources of a large folder: found together, as each would be by itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import worker.validate.file_versions
from kpi.contract.loading import parse_contract
from kpi.contract.model import Contract
from tests.simulation.contracts import CONTRACT
from tests.support.commands import Shopkpi
from tests.support.samples import entry
from worker.clean import Workspace
from worker.objects import ObjectInfo
from worker.objects.location import locate
from worker.objects.memory import MemoryStore
from worker.objects.source import Source
from worker.state import Adoption
from worker.state.contract_in_force import contract_of
from worker.state.memory import MemoryState
from worker.state.sqlite.connection import SqliteFile
from worker.validate import known_sources
from worker.validate.context import ValidationContext
from worker.validate.known_sources import find_known

NOW = datetime(2025, 1, 1, tzinfo=UTC)
STORE = MemoryStore("in")


def _with_time(setting: str) -> Contract:
    text = CONTRACT.text.replace("[limits]", f"[time]\n    {setting}\n\n    [limits]")
    return parse_contract(text, source=setting)


CONTRACTS = (
    CONTRACT,
    _with_time('business_time_zone = "Asia/Tokyo"'),  # makes the same clean rows
    _with_time('source_time_zone = "Asia/Tokyo"'),  # makes others
)
SOURCES = [
    Source(
        info=ObjectInfo(
            bucket="in",
            key=f"orders/{number}.csv",
            size_bytes=9,
            version="version:1",
            uploaded_at=NOW,
        ),
        dataset="orders",
        store=STORE,
    )
    for number in range(4)
]

steps = st.lists(
    st.tuples(
        st.sampled_from(["accept", "refuse", "stage", "adopt"]),
        st.integers(0, len(SOURCES) - 1),
        st.integers(0, len(CONTRACTS) - 1),
    ),
    max_size=14,
)


async def _follow(state: MemoryState, history: list[tuple[str, int, int]]) -> Adoption | None:
    """Commit and adopt what a history says; return the adoption in force."""
    for kind, source, number in history:
        contract = CONTRACTS[number]
        adoption = Adoption(
            digest=contract.digest, text=contract.text, tables=("order_kpis",), recorded_at=NOW
        )
        in_force = await state.adoption()
        made = replace(entry(SOURCES[source].source_id), contract=contract.digest)
        if kind == "adopt":
            await state.adopt(adoption, replaces=0 if in_force is None else in_force.sequence)
        elif kind == "stage":
            await state.stage(replace(made, staged=True))
        elif in_force is None or in_force.digest == contract.digest:
            refused = replace(made, verdict="refused", reason="no header")
            await state.commit(made if kind == "accept" else refused, adoption=adoption)
    return await state.adoption()


@given(history=steps)
@example(history=[("accept", 0, 0), ("adopt", 0, 2)])  # its rows are of another contract
@example(history=[("accept", 0, 0), ("stage", 0, 2), ("adopt", 0, 2), ("accept", 1, 2)])
@example(history=[("accept", 0, 2), ("adopt", 0, 0), ("accept", 1, 0), ("adopt", 0, 1)])
@example(history=[("refuse", 0, 0), ("accept", 1, 0), ("accept", 2, 0), ("accept", 3, 0)])
def test_many_are_known_as_each_is(history: list[tuple[str, int, int]]) -> None:
    async def check() -> None:
        state = MemoryState()
        adoption = await _follow(state, history)
        in_force = await contract_of(state, adoption, CONTRACT)
        with ThreadPoolExecutor(1) as executor:
            context = ValidationContext(
                contract=in_force.contract,
                in_force=in_force if adoption is not None else None,
                workspace=Workspace(store=STORE, location=locate("s3://clean")),
                ledger=state,
                executor=executor,
            )
            found = await find_known(SOURCES, {}, context)
            expected = {}
            for source in SOURCES:
                one = await context.find(source.source_id)
                if one is not None and one.verdict == "accepted" and context.is_final(one):
                    expected[source] = one
        known = {*SOURCES} - {*found.unknown}
        assert found.entries.keys() <= known
        assert found.others == len(known) - len(found.entries)
        assert known <= expected.keys()  # the others are looked up by themselves
        if not in_force.other_rows:
            assert known == expected.keys()
            assert all(expected[source] == one for source, one in found.entries.items())
        staged = {one for one, entry in expected.items() if entry.staged}
        assert staged <= known

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known_sources, "FEW_SOURCES", 0)
        patch.setattr(known_sources, "NAMED_SOURCES", 2)
        asyncio.run(check())


def test_a_folder_of_known_files_costs_few_transactions(
    tmp_path: Path, shopkpi: Shopkpi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.validate.file_versions, "TICK_NS", 0)
    monkeypatch.setattr(known_sources, "FEW_SOURCES", 5)
    monkeypatch.setattr(known_sources, "NAMED_SOURCES", 3)
    folder = tmp_path / "shop" / "orders"
    folder.mkdir(parents=True)
    for number in range(20):
        order = f"order_id,user_id,created_at\n{number},7,2025-03-01\n"
        (folder / f"{number}.csv").write_text("no header\n" if number == 9 else order)
    assert shopkpi("run", "shop", "--format", "json").code == 0

    transactions = Counter[str]()
    run = SqliteFile.run

    def counted(self: SqliteFile, work: Callable[..., Any]) -> Awaitable[Any]:
        transactions["all"] += 1
        return run(self, work)

    monkeypatch.setattr(SqliteFile, "run", counted)
    known = shopkpi("run", "shop", "--format", "json").events
    told = [one for one in known if one["event"] == "source.known"]
    assert [one.get("files", 1) for one in told] == [1, 1, 1, 16, 1]
    assert [one["verdict"] for one in told] == ["accepted"] * 4 + ["refused"]
    assert transactions["all"] <= 25

    shown = shopkpi("run", "shop", "--format", "table").out
    assert "files: 20 known already" in " ".join(shown.split())
    (folder / "3.csv").write_text("order_id,user_id,created_at\n3,7,2025-03-02\n")
    changed = shopkpi("run", "shop", "--format", "json").events
    (committed,) = (one for one in changed if one["event"] == "source.committed")
    assert committed["url"].endswith("/3.csv")
