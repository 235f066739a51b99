"""The ledger's format, as documented and as written by a validation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

import worker.state.entry
from kpi.contract.loading import built_in
from tests.support import shops
from tests.support.shops import Pipeline, Upload
from worker.errors import StoreError
from worker.state.entry import Entry

JSON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "string or null": (str, type(None)),
    "integer": (int,),
    "number": (int, float),
    "object": (dict,),
    "array of objects": (list,),
    "array of strings": (list,),
    "array of integers": (list,),
}


def documented_members() -> dict[str, str]:
    """Read member -> JSON type from the table of the module's docstring."""
    members: dict[str, str] = {}
    for line in (worker.state.entry.__doc__ or "").splitlines():
        row = re.fullmatch(r"\| (`.+`) \| (.+) \|", line)
        if row:
            kind = re.split(r": ", row[2])[0]
            members |= dict.fromkeys(re.findall(r"`(\w+)`", row[1]), kind)
    return members


async def written_entry(home: Path, contract: str, upload: Upload) -> dict[str, Any]:
    async with Pipeline(home, built_in(contract)) as pipeline:
        (path,) = shops.write(home / "shop", [upload])
        fields: dict[str, Any] = orjson.loads((await pipeline.validate(path)).to_json())
    return fields


async def test_members_of_an_entry_are_those_documented(tmp_path: Path) -> None:
    rows = (("1", "7", "shipped", "2025-03-01T12:00:00"), ("2", "7", "shipped", "never"))
    fields = await written_entry(tmp_path, "default", Upload("orders", rows * 10, 0))
    members = documented_members()
    assert fields.keys() == members.keys()
    for name, value in fields.items():
        assert type(value) in JSON_TYPES[members[name]], name
    parts = re.search(r"`parts` \| array of objects: (.+) \|", worker.state.entry.__doc__ or "")
    assert parts is not None
    for part in fields["parts"]:
        assert list(part) == re.findall(r"`(\w+)`", parts[1])


@pytest.mark.parametrize(
    ("dataset", "contract", "row", "ranges"),
    [
        (
            "orders",
            "default",
            ("5", "7", "shipped", "2025-03-01T12:00:00"),
            {"order_id": 5, "created_at": 1_740_830_400_000_000},
        ),
        ("order_items", "default", ("9", "5", "3", "", "1.00"), {"id": 9, "order_id": 5}),
        ("order_items", "string-ids", ("9", "5", "3", "", "1.00"), {"id": "9", "order_id": "5"}),
        ("products", "default", ("3", "Toys"), {"id": 3}),
    ],
)
async def test_ranges_are_of_the_pruning_columns(
    tmp_path: Path, dataset: str, contract: str, row: tuple[str, ...], ranges: dict[str, object]
) -> None:
    fields = await written_entry(tmp_path, contract, Upload(dataset, (row,), 0))
    (part,) = fields["parts"]
    assert part["ranges"] == {name: {"low": one, "high": one} for name, one in ranges.items()}


async def test_an_entry_is_parsed_as_it_was_written(tmp_path: Path) -> None:
    upload = Upload("products", (("3", "Toys"),), 0)
    fields = await written_entry(tmp_path, "default", upload)
    text = orjson.dumps(fields)
    assert orjson.loads(Entry.from_json(text).to_json()) == fields
    with pytest.raises(StoreError, match=re.escape(fields["url"])):
        Entry.from_json(text[:-5])
