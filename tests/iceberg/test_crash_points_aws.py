"""Publication over S3, DynamoDB and Glue, killed before any call that writes.

Each end is met by the next run in the same workspace: a run is killed before its first call that
writes, the next before its second one, and so on, until one comes to its end. So the tables are
created, follow an upload, and are made again.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import pytest
from botocore.httpsession import URLLib3Session
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.exceptions import NoSuchTableError

from tests.iceberg.tables import NAMES, stamp_of
from tests.recovery import calls
from tests.recovery.calls import Call, Calls, Dead
from tests.recovery.summary import tried
from tests.recovery.test_crash_points_aws import (
    EVERY_POINT,
    World,
    begin,
    open_world,
    perform,
    validate_all_below,
)
from tests.recovery.test_maintenance_aws import LastWrite, transform_all
from tests.support.emulators import Emulator, unique_name
from worker.iceberg.publish import IcebergTask, publish_tables
from worker.jobs import Session

pytestmark = pytest.mark.slow

EVERY = 1 if EVERY_POINT else 3
"""Of the writes one in so many is the last of a run."""


@dataclass
class GlueToo(LastWrite):
    """Faults of a run that is killed before a call that writes, to Glue as well."""

    is_dead: bool = False
    ends_in_glue: bool = False

    def get(self, call: Call, default: Any = None) -> Any:
        found = super().get(call, default)
        self.is_dead |= found is not None
        return found

    @contextmanager
    def in_the_way(self) -> Iterator[None]:
        """Intercept the calls of pyiceberg's own client."""
        through = URLLib3Session.send

        def send(session: URLLib3Session, request: Any) -> Any:
            name = request.headers.get("X-Amz-Target", b"").decode().rpartition(".")[2]
            changes = not name.startswith("Get")
            self.seen += changes
            if self.is_dead or (changes and self.seen > self.number):
                self.ends_in_glue |= not self.is_dead
                self.is_dead = True
                raise Dead
            return through(session, request)

        with mock.patch.object(URLLib3Session, "send", send):
            yield


class Tables:
    """The tables of a shop in Glue."""

    def __init__(self, endpoint_url: str) -> None:
        self.database = unique_name("ice")
        of_s3 = {"s3.endpoint": endpoint_url, "s3.region": "us-east-1"}
        self._reader = GlueCatalog("reader", **of_s3)
        self._read: dict[str, tuple[int, list[str]]] = {}

    def publish(self, *, rebuilds: bool = False) -> Callable[[World, Session], Any]:
        """Return the step that brings them up to date."""

        async def step(world: World, session: Session) -> None:
            await publish_tables(
                IcebergTask(
                    state=session.state,
                    workspace=session.workspace,
                    contract=world.contract,
                    catalog=f"glue://{self.database}",
                    rebuilds=rebuilds,
                )
            )

        return step

    def read(self) -> dict[str, tuple[int, list[str]]]:
        """Return the sequence and the rows of each table that there is."""
        found = {}
        for name in NAMES:
            try:
                table = self._reader.load_table((self.database, name))
            except NoSuchTableError:
                continue
            if table.current_snapshot() is None:
                continue
            at = table.metadata_location
            if at not in self._read:
                rows = table.scan().to_arrow().to_pylist()
                self._read[at] = stamp_of(table), sorted(map(str, rows))
            found[name] = self._read[at]
        return found


async def until_its_end(
    world: World, session: Session, tables: Tables, step: Any
) -> tuple[list[dict[str, tuple[int, list[str]]]], int]:
    """Kill a step before a later write each time; return what readers found, and ends in Glue."""
    seen, in_glue = [], 0
    for number in itertools.count(0, EVERY):
        faults = GlueToo(number)
        with faults.in_the_way():
            ended = await perform(world, session, [step], Calls(faults=faults))
        seen.append(await asyncio.to_thread(tables.read))
        in_glue += faults.ends_in_glue
        if ended is None:
            return seen, in_glue
    raise AssertionError


async def test_tables_in_glue_killed_before_any_write_are_whole(
    ministack: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    ministack.use(monkeypatch)
    monkeypatch.setattr(calls, "_STEPS", 1)  # any order of calls will do
    tables, runs, ends_in_glue = Tables(ministack.endpoint_url), 0, 0
    async with open_world(ministack) as world:
        # pyiceberg waits in a thread for files that the event loop reads and writes.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(4))
        session = await begin(world)
        whole: dict[str, dict[int, list[str]]] = {name: {} for name in NAMES}
        for prefix, rebuilds in (("first", False), ("later", False), ("", True)):
            if prefix:
                await validate_all_below(world, session, prefix)
                await transform_all(world, session)
            step = tables.publish(rebuilds=rebuilds)
            seen, in_glue = await until_its_end(world, session, tables, step)
            runs, ends_in_glue = runs + len(seen) - 1, ends_in_glue + in_glue
            head = await session.state.head()
            assert {name: sequence for name, (sequence, _) in seen[-1].items()} == dict.fromkeys(
                NAMES, head
            )
            for name, (sequence, rows) in seen[-1].items():
                assert whole[name].setdefault(sequence, rows) == rows
            for found in seen:
                for name, (sequence, rows) in found.items():
                    assert whole[name][sequence] == rows, name
        assert await perform(world, session, [tables.publish()], Calls()) is None
    assert runs > 10
    assert ends_in_glue >= 2
    tried(record_property, "of Iceberg tables over S3, DynamoDB and Glue", runs)
