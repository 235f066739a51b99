"""The key index: extended step by step it finds what one step finds; damage is told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi.index.pointers import Pointers, sort_pointers
from tests.support.profiles import examples
from worker.clean import Workspace
from worker.errors import DamagedObject, SourceError, SourceMissing
from worker.index import key_index, run_object
from worker.index.key_index import MANIFEST_NAME, KeyIndex
from worker.index.levels import Levels
from worker.objects import ObjectInfo
from worker.objects.location import Location
from worker.objects.memory import MemoryStore

SECRET = b"of one ledger..."
TABLES = ("items", "orders")

batches = st.lists(
    st.dictionaries(
        st.sampled_from(TABLES),
        st.lists(st.tuples(st.integers(-5, 12), st.integers(0, 99)), max_size=30),
    ),
    max_size=6,
)


def workspace() -> Workspace:
    return Workspace(store=MemoryStore(), location=Location(bucket="clean", key="shop"))


def of_files(name: str) -> Callable[[int], str]:
    """Identify the files of a ledger by a name."""
    return lambda up_to: f"{name} {up_to}" if up_to else ""


async def opened(place: Workspace, secret: bytes = SECRET, files: str = "a") -> KeyIndex:
    return await KeyIndex.open(place, secret, TABLES, of_files(files))


def pointers(index: KeyIndex, rows: list[tuple[int, int]]) -> Pointers:
    rows = sorted(rows, key=lambda one: one[1])
    column = pa.chunked_array([pa.array([key for key, _ in rows], pa.int64())])
    return sort_pointers(index.words(column), np.array([at for _, at in rows], np.uint64))


async def extended(
    place: Workspace, rows: list[tuple[int, int]], up_to: int = 1, table: str = "items"
) -> KeyIndex:
    index = await opened(place)
    return await index.extend({table: pointers(index, rows)}, up_to=up_to)


@pytest.fixture(params=[1 << 20, 0], ids=["whole", "by block"])
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks and heads, so that runs are merged and read in part."""
    monkeypatch.setattr(run_object, "WHOLE_RUN_BYTES", request.param)
    monkeypatch.setattr(run_object, "BLOCK_POINTERS", 3)
    monkeypatch.setattr(run_object, "COALESCED_BLOCKS", 1)
    monkeypatch.setattr(key_index, "LEVELS", Levels(head=20, merged=60))


@pytest.mark.usefixtures("reading")
@pytest.mark.parametrize("_", [0])
@examples(0.4)
@given(steps=batches, wanted=st.sets(st.integers(-6, 13), max_size=5))
async def test_steps_find_what_a_dictionary_finds(
    _: int, steps: list[dict[str, list[tuple[int, int]]]], wanted: set[int]
) -> None:
    place = workspace()
    truth: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for number, step in enumerate(steps, start=1):
        index = await opened(place)
        tables = {name: pointers(index, rows) for name, rows in step.items()}
        await index.extend(tables, up_to=number)
        for name, rows in step.items():
            for key, at in rows:
                truth[name][key].add(at)
    index = await opened(place)
    assert index.manifest.up_to == len(steps)
    for name in TABLES:
        found = await index.find(name, pa.array(sorted(wanted), pa.int64()))
        assert found.tolist() == sorted(set().union(*(truth[name][key] for key in wanted)))


async def test_the_number_of_runs_grows_with_the_logarithm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(key_index, "LEVELS", Levels(head=64, merged=2_000_000))
    place = workspace()
    for number in range(1, 400):
        index = await extended(place, [(number, number), (number + 1000, number)], up_to=number)
    assert len(index.manifest.runs) <= 4
    assert sum(run.pointers for run in index.manifest.runs) == 2 * 399
    runs = [info.key async for info in place.store.list("shop/index") if info.key[-4:] == ".run"]
    # Those that are named, and those that a reader of the manifest before may still read.
    assert len(runs) <= len(index.manifest.runs) + len(index.manifest.retired)


async def test_an_index_of_other_files_or_tables_is_empty() -> None:
    for files, tables in (("b", TABLES), ("a", (*TABLES, "products"))):
        place = workspace()
        await extended(place, [(1, 1)], up_to=7)
        other = await KeyIndex.open(place, SECRET, tables, of_files(files))
        assert (other.manifest.up_to, other.manifest.runs) == (0, ())
        # Even with fewer files it takes the place of the one that it is not of.
        await other.extend({}, up_to=3)
        again = await KeyIndex.open(place, SECRET, tables, of_files(files))
        assert again.manifest.up_to == 3


async def test_shops_have_indexes_of_their_own() -> None:
    place = workspace()
    other = replace(place, shop="berlin")
    await extended(place, [(1, 1)], up_to=7)
    assert (await opened(other)).manifest.up_to == 0
    await extended(other, [(2, 2)], up_to=9)
    ids = pa.array([1, 2], pa.int64())
    assert (await (await opened(place)).find("items", ids)).tolist() == [1]
    assert (await (await opened(other)).find("items", ids)).tolist() == [2]


async def test_words_depend_on_the_secret_but_for_integers() -> None:
    ids = pa.chunked_array([["a", "b"]])
    mine, other = await opened(workspace()), await opened(workspace(), b"of another one..")
    assert (mine.words(ids) != other.words(ids)).all()
    assert mine.words(pa.chunked_array([[-1]])).tolist() == [2**64 - 1]


async def test_a_slower_writer_leaves_the_manifest_that_knows_more() -> None:
    place = workspace()
    slow = await opened(place)
    await extended(place, [(1, 1)], up_to=9)
    after = await slow.extend({"items": pointers(slow, [(2, 2)])}, up_to=5)
    assert after.manifest.up_to == 5  # right, if of less use
    assert (await opened(place)).manifest.up_to == 9


def cut(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def first_byte(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


@pytest.mark.usefixtures("reading")
@pytest.mark.parametrize("damage", [cut, first_byte])
async def test_damaged_runs_are_told(damage: Callable[[bytes], bytes]) -> None:
    place = workspace()
    index = await extended(place, [(key, key) for key in range(40)])
    (run,) = index.manifest.runs
    assert isinstance(place.store, MemoryStore)
    info = await place.store.stat(place.absolute(place.index(run.name)))
    data = damage(await place.store.read(info, 0, info.size_bytes))
    async with place.store.create(info.key) as writer:
        await writer.write(data)
    with pytest.raises(DamagedObject, match="CRC-32"):
        await (await opened(place)).find("items", pa.array(range(40), pa.int64()))


async def test_missing_runs_are_told() -> None:
    place = workspace()
    index = await extended(place, [(1, 1)])
    await place.store.delete(place.absolute(place.index(index.manifest.runs[0].name)))
    with pytest.raises(SourceMissing):
        await (await opened(place)).find("items", pa.array([1], pa.int64()))


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{}", b'{"format":1,"runs":3}', b"\xff", b'{"format":7}'],
)
async def test_a_manifest_that_cannot_be_read_is_an_empty_index(text: bytes) -> None:
    place = workspace()
    async with place.store.create(place.absolute(place.index(MANIFEST_NAME))) as writer:
        await writer.write(text)
    index = await opened(place)
    assert (index.manifest.up_to, index.manifest.runs) == (0, ())


async def test_a_manifest_leads_to_no_object_outside() -> None:
    place = workspace()
    index = await extended(place, [(1, 1)])
    async with place.store.create("victim") as writer:
        await writer.write(b"kept")
    for member in ("runs", "retired"):
        fields = orjson.loads(index.manifest.to_json())
        fields[member] = (
            ["../victim"] if member == "retired" else [{**fields["runs"][0], "name": "../victim"}]
        )
        async with place.store.create(place.absolute(place.index(MANIFEST_NAME))) as writer:
            await writer.write(orjson.dumps(fields))
        assert (await opened(place)).manifest.runs == ()
        await extended(place, [(1, 1)])
    assert (await place.store.stat("victim")).size_bytes == 4


class Failing(MemoryStore):
    """Cannot read."""

    async def stat(self, key: str, *, version_id: str | None = None) -> ObjectInfo:
        raise SourceError(f"no rights for {version_id}", url=key)


async def test_an_index_that_may_not_be_read_is_empty() -> None:
    place = replace(workspace(), store=Failing())
    assert (await opened(place)).manifest.runs == ()
