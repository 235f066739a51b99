"""The shop of the tests of maintenance."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from kpi.contract.loading import built_in
from tests.support import shops
from tests.support.shops import Pipeline
from tests.unit.worker.maintenance.maintained import LIMITS
from tests.unit.worker.transform.test_indexed_files import day
from worker.index.levels import Levels
from worker.maintenance import collection

UNMERGED = Levels(head=0, merged=0)
"""Each transform writes a run of the key index of its own."""


@pytest.fixture(scope="session")
def maintained_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop of four days, each transformed on its own."""
    home = tmp_path_factory.mktemp("maintained")

    async def build() -> None:
        async with Pipeline(home, built_in("uuid-ids")) as opened:
            for number in range(1, 5):
                for path in shops.write(home / f"shop{number}", day(number)):
                    await opened.validate(path)
                await opened.transform(limits=LIMITS)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("worker.index.key_index.LEVELS", UNMERGED)
        asyncio.run(build())
    return home


@pytest.fixture
async def pipeline(
    maintained_shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Pipeline]:
    """A shop with a run of the key index for each transform, a checkpoint and packs."""
    monkeypatch.setattr("worker.index.key_index.LEVELS", UNMERGED)
    monkeypatch.setattr(collection, "MIN_AGE", timedelta(seconds=-60))  # all objects are old
    home = tmp_path / "home"
    shutil.copytree(maintained_shop, home)
    async with Pipeline(home, built_in("uuid-ids")) as opened:
        yield opened
