"""Stored bytes that come back changed: an error that names them, never a traceback.

Damage may pass where the bytes can still be read: pages have no checksums, and the tables are then
those of other values.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from kpi.contract.loading import built_in
from kpi.errors import KpiError
from tests.recovery import shop
from tests.support import shops
from tests.support.commands import shopkpi
from worker.clean import Workspace
from worker.errors import WorkerError
from worker.objects.location import Location
from worker.objects.memory import MemoryStore
from worker.state import Entry
from worker.state.memory import MemoryState
from worker.transform import transform

CONTRACT = built_in()
TIMES = 100


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A validated shop: its ledger, and the bytes of its clean files."""

    entries: list[Entry]
    objects: dict[str, bytes]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    home = tmp_path_factory.mktemp("kept")
    shop.write_files(home / "shop", shop.first_files(), second=0)
    shop.write_files(home / "shop", shop.later_files(), second=100)

    async def work() -> Kept:
        async with shops.Pipeline(home / "zone") as pipeline:
            entries = [
                await pipeline.validate(path) for path in sorted((home / "shop").rglob("*.csv"))
            ]
        keys = [part.key for entry in entries for part in entry.parts]
        return Kept(
            entries=entries, objects={key: (home / "zone" / key).read_bytes() for key in keys}
        )

    return asyncio.run(work())


async def transformed(kept: Kept) -> list[object]:
    """Return the rows of a transform of what was kept."""
    store, state = MemoryStore(), MemoryState()
    for key, data in kept.objects.items():
        async with store.create(f"zone/{key}") as writer:
            await writer.write(data)
    for entry in kept.entries:
        await state.commit(entry)
    location = Location(bucket="memory", key="zone")
    await transform(
        contract=CONTRACT,
        workspace=Workspace(store=store, location=location),
        state=state,
        tables=shops.ALL_TABLES,
    )
    return [row for table in sorted(shops.ALL_TABLES) async for row in state.rows(table)]


def damaged(data: bytes, chance: random.Random, start: int = 0) -> bytes:
    """Flip some bits or replace some bytes from `start` on."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        bits = chance.choice((1 << chance.randrange(8), chance.randrange(1, 256)))
        found[chance.randrange(start, len(found))] ^= bits
    return bytes(found)


def with_a_damaged_object(kept: Kept, chance: random.Random) -> tuple[Kept, tuple[str, ...]]:
    key = chance.choice(sorted(kept.objects))
    data = kept.objects[key]
    # Most of a small object is its footer; of a large one nearly all are pages.
    pages = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    start = chance.choice((0, pages))
    end = chance.choice((pages, len(data))) if start == 0 else len(data)
    changed = damaged(data[:end], chance, start) + data[end:]
    (url,) = {one.url for one in kept.entries if key in {part.key for part in one.parts}}
    return replace(kept, objects=kept.objects | {key: changed}), (key, url)


def with_a_damaged_entry(kept: Kept, chance: random.Random) -> tuple[Kept, tuple[str, ...]]:
    at = chance.randrange(len(kept.entries))
    entries = list(kept.entries)
    entries[at] = replace(Entry.from_json(damaged(entries[at].to_json(), chance)), sequence=0)
    return replace(kept, entries=entries), ()


Damage = Callable[[Kept, random.Random], tuple[Kept, tuple[str, ...]]]


def trials(kept: Kept, damage: Damage) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """For each seed: the kind of an error that nobody has put into words, what was said, and what
    had to be named."""
    for seed in range(TIMES):
        chance = random.Random(seed)
        names: tuple[str, ...] = ()
        try:
            hurt, names = damage(kept, chance)
            asyncio.run(transformed(hurt))
            yield "", "", names
        except (WorkerError, KpiError) as error:
            yield "", str(error), names
        except BaseException as error:  # noqa: BLE001  (the parent must hear of each)
            yield type(error).__name__, str(error), names


def in_a_child(work: Callable[[], Iterator[object]]) -> list[list[object]]:
    """What `work` yields in a child: Arrow can end a process that it shows damaged bytes."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # see tests.recovery.operations
        child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            with os.fdopen(writing, "w", buffering=1) as pipe:
                for one in work():
                    pipe.write(json.dumps(one) + "\n")
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        found = [json.loads(line) for line in pipe]
    os.waitpid(child, 0)
    return found


@pytest.mark.parametrize("damage", [with_a_damaged_object, with_a_damaged_entry])
def test_a_changed_byte_is_read_or_an_error(kept: Kept, damage: Damage) -> None:
    found = in_a_child(lambda: trials(kept, damage))
    for seed, (error, message, names) in enumerate(found):
        assert error == "", f"{seed}: {error}: {message}"
        assert "\n" not in str(message), seed
        if message and names:
            assert isinstance(names, list)
            assert any(name in str(message) for name in names), f"{seed}: {message}"
    assert len(found) == TIMES, f"the process ended at {len(found)}"
    said = {str(message) for _, message, _ in found}
    # Neither is none of it found, nor all of it.
    assert "" in said
    assert len(said) > 10


# What a user sees.


@pytest.fixture
def home(tmp_path: Path) -> Path:
    shop.write_files(tmp_path / "shop", shop.first_files(), second=0)
    assert shopkpi(tmp_path, "run", "shop").code == 0
    return tmp_path


def cut_short(data: bytes) -> bytes:
    return data[: len(data) // 2]


def another_end(data: bytes) -> bytes:
    return data[:-1] + b"0"


def zeros_in_the_footer(data: bytes) -> bytes:
    return data[:-300] + bytes(200) + data[-100:]


def zeros_in_the_pages(data: bytes) -> bytes:
    return data[:8] + bytes(200) + data[208:]


@pytest.mark.parametrize(
    "damage", [cut_short, another_end, zeros_in_the_footer, zeros_in_the_pages]
)
@pytest.mark.parametrize("zone", ["clean", "rejects"])
def test_a_damaged_object_is_named(home: Path, zone: str, damage: Callable[[bytes], bytes]) -> None:
    (path,) = (home / ".shopkpi" / zone / "order_items").rglob("*.parquet")
    path.write_bytes(damage(path.read_bytes()))
    command = ("transform", "--all") if zone == "clean" else ("rejects", "order_items/1.csv")
    done = shopkpi(home, *command)
    assert done.code == 1, done
    (line,) = done.err.splitlines()
    assert path.as_posix() in line
    assert "expected" in line
    assert "got" in line


def test_a_damaged_ledger_entry_is_named(home: Path) -> None:
    with closing(sqlite3.connect(home / ".shopkpi/shopkpi.db")) as db:
        db.execute(
            "UPDATE ledger SET record = substr(record, 1, 400) "
            "WHERE kind = 'entry' AND record LIKE '%orders/1.csv%'"
        )
        db.commit()
    for command in (["transform", "--all"], ["ledger"], ["run", "shop"]):
        done = shopkpi(home, *command)
        assert done.code == 1, done
        (line,) = done.err.splitlines()
        assert "orders/1.csv: expected JSON" in line
