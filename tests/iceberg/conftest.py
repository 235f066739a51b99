"""The packages of the extra `iceberg`: where they are missing, its tests are left out."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.iceberg.shop import fill
from tests.support.shops import Pipeline

collect_ignore_glob: list[str] = []

if find_spec("pyiceberg") is None:
    if os.environ.get("SHOPKPI_NEEDS_MINISTACK"):  # set by `make test`
        raise ModuleNotFoundError("pyiceberg is missing; requirements.lock has it")
    collect_ignore_glob.append("test_*.py")


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a shop whose KPIs are published; to be copied."""
    home = tmp_path_factory.mktemp("filled")

    async def make() -> None:
        async with Pipeline(home) as opened:
            await fill(opened, home)

    asyncio.run(make())
    return home


@pytest.fixture
async def pipeline(tmp_path: Path, filled: Path) -> AsyncIterator[Pipeline]:
    """A shop whose KPIs are published, and no Iceberg table."""
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    async with Pipeline(tmp_path) as opened:
        yield opened
