"""A state in tables of its own, on MiniStack."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contracts.dynamodb.workers import QUICK
from tests.support.emulators import Emulator, unique_name
from worker.state.dynamodb.store import DynamoDBState


@pytest.fixture
def aws(ministack: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    ministack.use(monkeypatch)
    return ministack


@pytest.fixture
async def state(aws: Emulator) -> AsyncIterator[DynamoDBState]:
    opening = DynamoDBState.open(unique_name("state"), endpoint_url=aws.endpoint_url, retry=QUICK)
    async with await opening as opened:
        await opened.create_tables()
        yield opened
