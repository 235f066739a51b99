"""What transforms record before they publish, where several begin at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from kpi.contract.loading import built_in
from worker.cli import pipeline
from worker.errors import ContractChanged
from worker.state import Adoption
from worker.state.memory import MemoryState

FIRST = Adoption(
    digest=built_in().digest,
    text=built_in().text,
    tables=("order_kpis",),
    recorded_at=datetime(2025, 3, 1, tzinfo=UTC),
)


class Overtaken(MemoryState):
    """Lets another command adopt something just before the first adoption of a test."""

    other: Adoption | None = None

    async def adopt(self, adoption: Adoption, **options: Any) -> Adoption:
        if self.other is not None:
            other, self.other = self.other, None
            await super().adopt(other, **options)
        return await super().adopt(adoption, **options)


async def switch_on(state: MemoryState, *tables: str) -> None:
    session: Any = SimpleNamespace(state=state, settings=SimpleNamespace(tables=frozenset(tables)))
    await pipeline._switch_on_tables(session)


async def test_two_transforms_switch_on_their_tables_at_once() -> None:
    state = Overtaken()
    await state.adopt(FIRST, replaces=0)
    state.other = replace(FIRST, tables=("category_kpis", "order_kpis"))
    await switch_on(state, "order_kpis", "product_kpis")
    adopted = await state.adoption()
    assert adopted is not None
    assert adopted.tables == ("category_kpis", "order_kpis", "product_kpis")


async def test_tables_of_another_contract_are_not_switched_on() -> None:
    state = Overtaken()
    await state.adopt(FIRST, replaces=0)
    other = built_in("string-ids")
    state.other = replace(FIRST, digest=other.digest, text=other.text)
    with pytest.raises(ContractChanged):
        await switch_on(state, "product_kpis")
