"""Items of many names: by pages while those are dense, by keys else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi.aggregation.tables import LEDGER_SORT_KEY
from worker.state.dynamodb import many
from worker.state.dynamodb.many import read_many

NAMES = [f"{number:02d}" for number in range(40)]


class Partition:
    """A partition that is read in pages of four items, and counts its requests."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = sorted(names)
        self.pages_read = 0
        self.keys_read = 0

    def ledger_partition(self, kind: str) -> tuple[str, str]:
        return "kind", kind

    def ledger_key(self, _: str, name: str) -> dict[str, Any]:
        return {LEDGER_SORT_KEY: {"S": name}}

    async def pages(
        self, _doing: str, _table: str, _partition: object, between: tuple[str, str, str]
    ) -> AsyncIterator[list[dict[str, Any]]]:
        found = [name for name in self.names if between[1] <= name <= between[2]]
        for start in range(0, max(len(found), 1), 4):
            self.pages_read += 1
            yield [self.ledger_key("", name) for name in found[start : start + 4]]

    async def batch_get(
        self, _doing: str, _table: str, keys: Sequence[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        names = [key[LEDGER_SORT_KEY]["S"] for key in keys]
        assert len({*names}) == len(names)  # DynamoDB refuses a key that is given twice
        self.keys_read += len(names)
        return [self.ledger_key("", name) for name in names if name in self.names]


@given(stored=st.sets(st.sampled_from(NAMES)), wanted=st.sets(st.sampled_from(NAMES)))
def test_pages_and_keys_find_the_same(stored: set[str], wanted: set[str]) -> None:
    partition = Partition([*stored])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(many, "FEW_NAMES", 3)
        patch.setattr(many, "PAGE_NAMES", 2)
        found = asyncio.run(read_many(partition, "", "source", wanted))  # type: ignore[arg-type]
    assert found.keys() == stored & wanted
    # Each page but the last has two of the names, or the others are read by their keys.
    assert partition.pages_read <= 1 + len(found) / 2
    assert partition.keys_read <= len(wanted)
