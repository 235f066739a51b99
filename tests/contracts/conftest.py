"""Every backend of each protocol, as fixtures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.emulators import Emulator, create_bucket, unique_name
from worker.objects import ObjectStore
from worker.objects.local import FolderStore
from worker.objects.memory import MemoryStore
from worker.objects.s3 import S3Store
from worker.state import State
from worker.state.dynamodb.store import DynamoDBState
from worker.state.memory import MemoryState
from worker.state.sqlite.store import SqliteState

SERVERS = ["moto", "ministack"]


@dataclass(frozen=True, kw_only=True)
class Place:
    """An object store, and the prefix below which a test may write."""

    store: ObjectStore
    root: str

    def key(self, name: str) -> str:
        return f"{self.root}/{name}"


def emulator(request: pytest.FixtureRequest, name: str) -> Emulator:
    found = request.getfixturevalue(name)
    assert isinstance(found, Emulator)
    return found


@pytest.fixture(params=["folder", "memory", "s3-moto", "s3-ministack"])
async def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Place]:
    kind, _, server = str(request.param).partition("-")
    if kind == "folder":
        yield Place(store=FolderStore(), root=tmp_path.as_posix().lstrip("/"))
    elif kind == "memory":
        yield Place(store=MemoryStore(), root="root")
    else:
        aws = emulator(request, server)
        aws.use(monkeypatch)
        async with await S3Store.open(await create_bucket(aws)) as store:
            yield Place(store=store, root="root")


@pytest.fixture(params=["sqlite", "memory", "dynamodb-moto", "dynamodb-ministack"])
async def state(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[State]:
    kind, _, server = str(request.param).partition("-")
    opened: State
    if kind == "sqlite":
        opened = await SqliteState.open(tmp_path / "state.db")
    elif kind == "memory":
        opened = MemoryState()
    else:
        emulator(request, server).use(monkeypatch)
        opened = await DynamoDBState.open(unique_name("state"))
    try:
        await opened.create_tables()
        yield opened
    finally:
        await opened.close()
