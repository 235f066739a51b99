"""Which upload a name means, and which rulings change anything."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.samples import entry
from worker.errors import ConfigError
from worker.maintenance.rulings import plan_rulings
from worker.state.memory import MemoryState


async def test_a_name_of_several_versions_is_refused_with_their_ids() -> None:
    state = MemoryState()
    first = entry("a")
    await state.commit(first)
    later = first.uploaded_at + timedelta(days=1)
    await state.commit(replace(first, source_id="b", uploaded_at=later, content="other"))
    with pytest.raises(ConfigError, match=r"2 uploads .*: b \(uploaded 2024-05-02 .*, a \("):
        await plan_rulings(state, ["orders/a.csv"], "retraction", "")
    (ruling,) = await plan_rulings(state, ["b"], "retraction", "why")
    assert (ruling.source_id, ruling.reason) == ("b", "why")


async def test_equal_uploads_of_a_name_are_one() -> None:
    state = MemoryState()
    first = entry("a")
    await state.commit(first)
    later = first.uploaded_at + timedelta(days=1)
    await state.commit(replace(first, source_id="b", uploaded_at=later))
    (ruling,) = await plan_rulings(state, ["orders/a.csv"], "retraction", "")
    assert ruling.source_id == "a"
    await state.rule(ruling)
    assert await plan_rulings(state, ["b"], "retraction", "") == []
    (restoration,) = await plan_rulings(state, ["b"], "restoration", "")
    assert restoration.source_id == "b"


async def test_only_rulings_that_change_something_are_planned() -> None:
    state = MemoryState()
    await state.commit(entry("a"))
    assert await plan_rulings(state, ["a"], "restoration", "") == []
    (retraction,) = await plan_rulings(state, ["a", "orders/a.csv"], "retraction", "")
    await state.rule(retraction)
    assert await plan_rulings(state, ["a"], "retraction", "") == []
    (restoration,) = await plan_rulings(state, ["a"], "restoration", "")
    assert restoration.kind == "restoration"


@pytest.mark.parametrize("name", ["b", "a.cs", "ders/a.csv"])
async def test_an_unknown_name_is_refused(name: str) -> None:
    state = MemoryState()
    await state.commit(entry("a"))
    with pytest.raises(ConfigError, match="no source object in the ledger"):
        await plan_rulings(state, [name], "retraction", "")


async def test_a_refused_file_can_be_retracted_and_not_restored() -> None:
    state = MemoryState()
    await state.commit(replace(entry("a"), verdict="refused", reason="no header"))
    (ruling,) = await plan_rulings(state, ["a"], "retraction", "")
    await state.rule(ruling)
    assert await plan_rulings(state, ["a"], "retraction", "") == []
    with pytest.raises(ConfigError, match="it was refused"):
        await plan_rulings(state, ["a"], "restoration", "")


@pytest.mark.parametrize("name", ["ordres/a.csv", "aa.csv"])
async def test_a_misspelled_name_is_answered_with_the_nearest(name: str) -> None:
    state = MemoryState()
    await state.commit(entry("a"))
    with pytest.raises(ConfigError, match=r"did you mean (orders/)?a\.csv\?"):
        await plan_rulings(state, [name], "retraction", "")
